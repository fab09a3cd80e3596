//! Images from recipes: what is in them, that they come out the same twice, and that a guest boots from one.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use guesttrace_tests::{
    events, guests_wanted, guesttrace, kernel, project_dir, record_guest, skip,
};
use tar::{Builder, EntryType, Header};

/// Builds what a recipe says; the recipe lies in `dir`, the image goes to `dir/NAME`.
fn build(dir: &Path, name: &str, recipe: &str) -> Output {
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, format!("about = \"a test\"\n{recipe}")).unwrap();
    let mut command = Command::new(guesttrace());
    command
        .args(["image", "build"])
        .arg(&path)
        .arg("-o")
        .arg(dir.join(name));
    command.output().unwrap()
}

/// The image that a recipe gives.
fn built(dir: &Path, name: &str, recipe: &str) -> PathBuf {
    let output = build(dir, name, recipe);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{recipe}: {complaints}");
    let rootfs = dir.join(name).join("rootfs.img");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(&*rootfs.to_string_lossy()),
        "the last line says how it boots"
    );
    rootfs
}

/// What debugfs says of an image.
fn debugfs(image: &Path, request: &str) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new("debugfs");
    command.env("PATH", path).env("DEBUGFS_PAGER", "cat");
    let output = command.args(["-R", request]).arg(image).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A member of an archive, owned by 1000:1001.
fn member(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(1000);
    header.set_gid(1001);
    header.set_size(size as u64);
    header
}

/// An archive of everything that an archive can have.
fn archive() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    tar.append_data(
        &mut member(EntryType::Directory, 0o2750, 0),
        "./srv",
        &[][..],
    )
    .unwrap();
    let text = b"said\n";
    let mut file = member(EntryType::Regular, 0o4755, text.len());
    tar.append_data(&mut file, "srv/a \"name\" with marks", &text[..])
        .unwrap();
    let mut link = member(EntryType::Link, 0o644, 0);
    tar.append_link(&mut link, "srv/second", "srv/a \"name\" with marks")
        .unwrap();
    let mut link = member(EntryType::Symlink, 0o777, 0);
    tar.append_link(&mut link, "lib", "/srv/lib").unwrap();
    let long = format!("lib/{}/{}", "d".repeat(150), "f".repeat(150));
    tar.append_data(
        &mut member(EntryType::Regular, 0o600, text.len()),
        long,
        &text[..],
    )
    .unwrap();
    let mut device = member(EntryType::Char, 0o666, 0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    tar.append_data(&mut device, "dev/null", &[][..]).unwrap();
    tar.append_data(&mut member(EntryType::Fifo, 0o600, 0), "dev/pipe", &[][..])
        .unwrap();
    tar.into_inner().unwrap()
}

/// What a program makes of bytes.
fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn an_image_has_all_that_its_archive_has_however_that_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let plain = archive();
    let mut images: Vec<Vec<u8>> = Vec::new();
    for (suffix, bytes) in [
        ("tar", plain.clone()),
        ("gz", packed("gzip", &plain)),
        ("xz", packed("xz", &plain)),
        ("zst", packed("zstd", &plain)),
    ] {
        fs::write(dir.path().join(format!("root.{suffix}")), bytes).unwrap();
        let image = built(
            dir.path(),
            suffix,
            &format!("from = {{ tar = 'root.{suffix}' }}\nsize_mib = 16"),
        );
        images.push(fs::read(image).unwrap());
    }
    assert!(
        images.iter().all(|image| *image == images[0]),
        "four times the same bytes"
    );
    assert_eq!(images[0].len(), 16 << 20);

    let image = dir.path().join("tar/rootfs.img");
    let is = |path: &str, expected: &[&str]| {
        let shown = debugfs(&image, &format!("stat \"{path}\""));
        for part in expected {
            assert!(shown.contains(part), "{path}: no {part:?} in {shown}");
        }
    };
    let owner = "User:  1000   Group:  1001";
    is("/srv", &["Type: directory", "Mode:  02750", owner]);
    let name = "/srv/a \"\"name\"\" with marks";
    is(
        name,
        &[
            "Type: regular",
            "Mode:  04755",
            owner,
            "Links: 2",
            "Size: 5",
        ],
    );
    is("/srv/second", &["Links: 2", "Size: 5"]);
    is("/lib", &["Type: symlink", "/srv/lib"]);
    // What an archive puts behind a link goes where the link leads in the guest.
    let long = format!("/srv/lib/{}/{}", "d".repeat(150), "f".repeat(150));
    is(&long, &["Mode:  0600", "Size: 5"]);
    is(
        "/dev/null",
        &["Type: character special", "Mode:  0666", "01:03"],
    );
    is("/dev/pipe", &["Type: FIFO"]);
}

#[test]
fn a_hostile_archive_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, kind: EntryType, link: &str, size: u64| {
        let mut header = member(kind, 0o644, 0);
        // As nobody's library would write it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let file = |name: &str| of(name, EntryType::Regular, "", 0);
    let hard = |link: &str| of("a", EntryType::Link, link, 0);
    let cases: [(Vec<u8>, &str); 12] = [
        (file("../etc/passwd"), "leads out of the image"),
        (file("a/../../b"), "leads out of the image"),
        (file("/etc/passwd"), "is absolute"),
        (hard("/etc/shadow"), "is absolute"),
        (hard("../shadow"), "leads out of the image"),
        (hard("nowhere"), "which is not there"),
        (
            of("a", EntryType::Symlink, "x\nwrite /etc/shadow y", 0),
            "control characters",
        ),
        (
            of("a", EntryType::Symlink, "a/b", 0)
                .into_iter()
                .chain(file("a/c"))
                .collect(),
            "without end",
        ),
        (
            of("big", EntryType::Regular, "", 1 << 32),
            "it ends in the middle",
        ),
        (of("huge", EntryType::Regular, "", 1 << 40), "does not fit"),
        (of("a", EntryType::new(b'?'), "", 0), "of the kind"),
        (b"no archive at all".repeat(64), "no whole tar archive"),
    ];
    for (bytes, expected) in cases {
        fs::write(dir.path().join("root.tar"), &bytes).unwrap();
        let output = build(dir.path(), "hostile", "from = { tar = 'root.tar' }");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(expected), "{expected}: {complaint}");
        assert_eq!(output.status.code(), Some(3), "{complaint}");
        assert_eq!(complaint.matches("error: ").count(), 1, "{complaint}");
        assert!(!dir.path().join("hostile/rootfs.img").exists());
    }
}

/// A directory tree, made forwards or backwards.
fn lay(dir: &Path, backwards: bool) {
    let mut names: Vec<String> = (0..300).map(|number| format!("file-{number}")).collect();
    if backwards {
        names.reverse();
    }
    fs::create_dir_all(dir.join("sbin")).unwrap();
    for name in &names {
        fs::write(dir.join(name), name).unwrap();
    }
    for name in &names {
        fs::hard_link(dir.join(name), dir.join("sbin").join(name)).unwrap();
    }
    symlink("/sbin/busybox", dir.join("sbin/sh")).unwrap();
    fs::set_permissions(dir.join("file-7"), fs::Permissions::from_mode(0o6711)).unwrap();
}

#[test]
fn a_directory_gives_the_same_image_whatever_the_order_on_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = "from = { directory = 'root' }\noverlay = ['over']\nwithout = ['/file-1*', '/doc']\n\
size_mib = 16\nlabel = 'mine'\ninit = '/sbin/run'\n\
file = [{ path = '/sbin/run', text = '#!/sbin/sh', mode = '755', uid = 3 }, { path = '/doc/a', link = 'b' }]\n";
    let mut images = Vec::new();
    for backwards in [false, true] {
        let place = dir.path().join(format!("{backwards}"));
        lay(&place.join("root"), backwards);
        fs::create_dir_all(place.join("over/etc")).unwrap();
        fs::write(place.join("over/etc/hostname"), "guest\n").unwrap();
        images.push(built(&place, "image", recipe));
    }
    assert_eq!(fs::read(&images[0]).unwrap(), fs::read(&images[1]).unwrap());
    let image = &images[0];
    assert_eq!(debugfs(image, "cat /file-2"), "file-2");
    assert_eq!(debugfs(image, "cat /file-17"), "", "left out");
    assert_eq!(
        debugfs(image, "cat /sbin/file-17"),
        "file-17",
        "its other name stays"
    );
    assert!(debugfs(image, "stat /file-7").contains("Mode:  06711"));
    assert_eq!(debugfs(image, "cat /etc/hostname"), "guest\n");
    assert!(debugfs(image, "stat /sbin/init").contains("\"/sbin/run\""));
    assert!(debugfs(image, "stat /sbin/run").contains("User:     3"));
    assert!(
        debugfs(image, "stat /doc/a").contains("symlink"),
        "files come after what is left out"
    );
    assert!(debugfs(image, "stats").contains("mine"));
}

#[test]
fn what_cannot_be_built_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let check = |recipe: &str, status: i32, expected: &str| {
        let output = build(dir.path(), "bad", recipe);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{recipe}: {complaint}");
        assert!(complaint.contains(expected), "{recipe}: {complaint}");
    };
    check("from = { directory = 'nowhere' }", 3, "cannot read");
    check(
        "from = { directory = '/dev/null' }",
        3,
        "it is no directory",
    );
    check(
        "from = { guest = false }",
        2,
        "one of directory, tar, packages, guest",
    );
    check(
        "from = { directory = '.' }\ninit = '/sbin/none'",
        2,
        "there is no /sbin/none",
    );
    fs::write(dir.path().join("large"), vec![1; 9 << 20]).unwrap();
    check(
        "from = { directory = '.' }\nsize_mib = 16",
        3,
        "does not fit",
    );
    let output = Command::new(guesttrace())
        .args(["image", "build", "no-such"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_list_has_every_recipe_kernel_and_workload() {
    let listed = |format: &str| {
        let output = Command::new(guesttrace())
            .args(["image", "list", "--format", format])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let json = listed("json");
    let rows: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names = |kind: &str| {
        let of_kind = rows.iter().filter(|row| row["kind"] == kind);
        of_kind
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut recipes: Vec<String> = fs::read_dir(project_dir().join("images/recipes"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    recipes.sort();
    assert_eq!(names("recipe"), recipes);
    assert!(names("kernel").contains(&"6.1-amd64".to_owned()));
    assert!(names("workload").contains(&"mix".to_owned()));
    if let Some(kernel) = kernel("6.1-amd64") {
        let row = rows.iter().find(|row| row["name"] == "6.1-amd64").unwrap();
        assert_eq!(row["release"], kernel.release.as_str());
    }
    assert_eq!(listed("csv").lines().count(), rows.len() + 1);
    assert!(listed("text").contains("workload"));
}

#[test]
fn a_guest_of_debian_packages_brings_its_modules_and_runs_the_same_twice() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let dir = tempfile::tempdir().unwrap();
    let files = ["rootfs.img", "initrd.cpio", "packages"];
    for name in ["first", "second"] {
        let mut command = Command::new(guesttrace());
        command
            .args(["image", "build", "debian", "--quiet", "-o"])
            .arg(dir.path().join(name));
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for file in files {
        let read = |name: &str| fs::read(dir.path().join(name).join(file)).unwrap();
        assert!(read("first") == read("second"), "{file} is the same twice");
    }
    let packages = fs::read_to_string(dir.path().join("first/packages")).unwrap();
    assert!(packages.contains("\nbash=5.2"), "{packages}");

    // A kernel from elsewhere: that its modules are in the image is all that is known of it.
    let vmlinuz = dir.path().join("bzImage");
    fs::copy(kernel("6.1-amd64").unwrap().vmlinuz, &vmlinuz).unwrap();
    let image = dir.path().join("first/rootfs.img");
    let arguments: Vec<String> = [
        "--kernel",
        vmlinuz.to_str().unwrap(),
        "--rootfs",
        image.to_str().unwrap(),
        "--boot",
        "pvh",
        "--require-reproducible",
    ]
    .map(str::to_owned)
    .to_vec();
    let runs = [(); 2].map(|()| record_guest(&arguments, &[]));
    for run in &runs {
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
        assert!(run.complaints.contains("SD card"), "{}", run.complaints);
        let origin = "rootfs.img (/lib/modules/";
        assert!(run.complaints.contains(origin), "{}", run.complaints);
        assert!(run.console.contains("sorted:root:x:0:0"), "{}", run.console);
    }
    assert!(
        fs::read(&runs[0].trace).unwrap() == fs::read(&runs[1].trace).unwrap(),
        "the traces are the same"
    );
    let filter = "event == sched_process_exec && filename == \"/bin/sort\"";
    assert_eq!(events(&runs[0].trace, &["--filter", filter]).len(), 1);
}
