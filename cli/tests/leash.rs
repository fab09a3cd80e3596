//! What `exec-on-leash` keeps from the program that it becomes, asked of the kernel by that program.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::process::Command;

/// Asks for an `io_uring` without a place for its parameters, and prints the error's name.
const ASK: &str = "\
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 1, None)
print(errno.errorcode[ctypes.get_errno()])";

/// The error that a program gets which is started under these conditions.
fn told(conditions: &[&str]) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin("guesttrace"))
        .arg("exec-on-leash")
        .args(conditions)
        .args(["--", "python3", "-c", ASK])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_program_finds_no_io_uring_where_it_must_not() {
    assert_eq!(told(&["--no-io-uring"]), "ENOSYS");
    // A kernel that has it complains of what is missing; one may forbid it, or be built without.
    let free = told(&[]);
    assert!(
        ["EFAULT", "EPERM", "ENOSYS"].contains(&free.as_str()),
        "{free}"
    );
}
