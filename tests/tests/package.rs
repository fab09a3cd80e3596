//! What `scripts/package.sh` makes: unpacked somewhere, it records, and its manual pages are sound.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use guesttrace_tests::{Cage, End, guests_wanted, project_dir, skip};

/// Runs a command, asserts that it went well and returns what it said.
fn done(command: &mut Command) -> End {
    let end = End::of(&command.output().expect("a program that is installed"));
    assert_eq!(end.status, 0, "{command:?}: {}", end.talk);
    end
}

/// Complaints about a page, on a line each.
fn complaints_about(page: &Path) -> String {
    let mut man = Command::new("man");
    man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
        .arg(page);
    done(man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80")).talk
}

#[test]
fn the_package_has_all_that_recording_needs() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = Cage::new();
    let script = project_dir().join("scripts/package.sh");
    let made = done(Command::new(script).arg("--out").arg(cage.path("made"))).out;
    let package = made.lines().find(|name| name.ends_with(".deb"));
    let package = package.expect("a package");
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--allow-root", package]);
    match lintian.output() {
        Err(error) => eprintln!("not looked at by lintian: {error}"),
        Ok(output) => assert_eq!(End::of(&output).status, 0, "{}", End::of(&output).out),
    }
    let root = cage.path("root");
    done(Command::new("dpkg-deb").args(["-x", package]).arg(&root));
    let usr = root.join("usr");
    let program = usr.join("bin/guesttrace");
    let doctor = done(Command::new(&program).args(["doctor", "--format", "json"])).out;
    let plugin = usr.join("bin/../lib/guesttrace/libguesttrace_plugin");
    assert!(
        doctor.contains(&*plugin.to_string_lossy()),
        "not the package's plugin: {doctor}"
    );
    // Its scripts build the guest and record it; the kernel need not be fetched again.
    let laid = project_dir().join("images/build/kernels");
    let build_dir = cage.path("cache/guesttrace/images");
    std::fs::create_dir_all(&build_dir).expect("a directory");
    symlink(laid, build_dir.join("kernels")).expect("a link");
    let mut record = Command::new(usr.join("share/guesttrace/scripts/run-qemu.sh"));
    record.args(["--quiet", "--events", "sched", "--trace"]);
    record
        .arg(cage.trace())
        .arg("--serial")
        .arg(cage.path("console"));
    done(record.env("XDG_CACHE_HOME", cage.path("cache")));
    let guest = build_dir.join("guest/6.1-amd64/rootfs.img");
    assert!(guest.is_file(), "no {}", guest.display());
    done(Command::new(&program).arg("verify").arg(cage.trace()));

    let pages = usr.join("share/man/man1");
    let pages: Vec<_> = pages.read_dir().expect("manual pages").flatten().collect();
    assert!(pages.len() > 20, "{} manual pages", pages.len());
    for page in pages {
        assert_eq!(
            complaints_about(&page.path()),
            "",
            "{}",
            page.path().display()
        );
    }
    for completion in [
        "bash-completion/completions/guesttrace",
        "zsh/vendor-completions/_guesttrace",
        "fish/vendor_completions.d/guesttrace.fish",
    ] {
        let text = std::fs::read_to_string(usr.join("share").join(completion));
        assert!(text.expect("completions").contains("critical-path"));
    }
}
