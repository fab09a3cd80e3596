//! Names of signals (`arch/x86/include/uapi/asm/signal.h`).

/// By number, from 1.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Name of a signal, such as `SIGTERM` for 15; those for real time have none.
#[must_use]
pub fn signal_name(number: u64) -> Option<&'static str> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_where_linux_has_them() {
        let names = [0, 1, 9, 15, 31, 32].map(super::signal_name);
        let expected = [
            None,
            Some("SIGHUP"),
            Some("SIGKILL"),
            Some("SIGTERM"),
            Some("SIGSYS"),
            None,
        ];
        assert_eq!(names, expected);
    }
}
