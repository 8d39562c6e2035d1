//! Processes with a root file system of their own: `bwrap` (bubblewrap) in namespaces of this machine, with an overlay over the root of an image, so that
//! no attempt sees what another one writes. The network is the machine's.
//!
//! A shell leads the group of the attempt and outlives nobody: the container ends with it. It writes the exit code into a file, so that a server which
//! comes later learns how the container has ended.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

const LEAD: &str = include_str!("container.sh");
const ROOT: &str = include_str!("container_root.sh");

/// Where the programs of the machine are that make a container, whatever the image says about its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What root may do in a container: nothing about the machine, its devices or the namespaces around it.
const CAPABILITIES: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// How names are looked up on this machine, whose network a container has.
const OF_THE_NETWORK: [&str; 2] = ["hosts", "resolv.conf"];

/// The programs of the machine that a container needs, and the packages of Debian that have them.
const NEEDED: [(&str, &str); 5] = [
    ("bwrap", "bubblewrap"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("mount", "mount"),
    ("env", "coreutils"),
];

/// The longest that a try may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The root file system of a process, and what of the machine is seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The root of the image, which stays as it is.
    pub root: PathBuf,
    /// A directory of this process's own, for what it writes.
    pub directory: PathBuf,
    /// Where it starts, below its root.
    pub working_directory: String,
    /// The numbers of its user and its group; none for root.
    pub user: Option<(u32, u32)>,
    /// Directories of the machine, and where they are seen.
    pub mounts: Vec<(PathBuf, String)>,
    /// Where its exit code stands once it has ended.
    pub exit: PathBuf,
}

impl Container {
    /// The command that runs `argv` in the container. It reads [`Container::options`] from descriptor 3.
    pub(crate) fn around(&self, argv: &[OsString]) -> io::Result<Vec<OsString>> {
        let is_root = is_root();
        let absolute = |path: &Path| std::path::absolute(path).map(PathBuf::into_os_string);
        let mut command: Vec<OsString> = ["/bin/sh", "-c", LEAD, "sh"].map(OsString::from).to_vec();
        command.extend([absolute(&self.exit)?, absolute(&self.directory)?]);
        command.push("unshare".into());
        command.extend((!is_root).then(|| "--map-root-user".into()));
        command.extend(["--mount", "--propagation", "private", "/bin/sh", "-c", ROOT, "sh"].map(OsString::from));
        // In a user namespace an overlay keeps its notes where a user may.
        command.push(if is_root { "" } else { ",userxattr" }.into());
        command.extend(["bwrap", "--args", "3", "--info-fd", "9", "--"].map(OsString::from));
        command.extend(argv.iter().cloned());
        Ok(command)
    }

    /// What `bwrap` reads: the variables first, so that what is cut off has no root and starts nothing.
    pub(crate) fn options(
        &self,
        env: impl Iterator<Item = (String, String)>,
        files: Option<&Path>,
    ) -> io::Result<String> {
        let mut words: Vec<String> = vec!["--clearenv".to_owned()];
        for (name, value) in env {
            words.extend(["--setenv".to_owned(), name, value]);
        }
        let mut say = |option: &[&str]| words.extend(option.iter().map(|word| (*word).to_owned()));
        say(&["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"]);
        match self.user {
            Some((user, group)) => {
                say(&["--unshare-user", "--uid", &user.to_string(), "--gid", &group.to_string()]);
            }
            None => CAPABILITIES.iter().for_each(|name| say(&["--cap-add", &format!("CAP_{name}")])),
        }
        say(&["--bind", "merged", "/", "--dev", "/dev", "--proc", "/proc", "--ro-bind-try", "/sys", "/sys"]);
        // What can be set there is the machine's.
        say(&["--ro-bind", "/proc/sys", "/proc/sys"]);
        for (from, to) in &self.mounts {
            say(&["--bind", &std::path::absolute(from)?.display().to_string(), to]);
        }
        if let Some(files) = files.map(|files| files.display().to_string()) {
            say(&["--ro-bind", &files, &files]);
        }
        // One that is not there is made.
        say(&["--dir", &self.working_directory, "--chdir", &self.working_directory]);
        Ok(words.into_iter().map(|word| word + "\0").collect())
    }

    /// Makes the directory, with what is laid over the root of the image.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let at = |name: &str| self.directory.join(name);
        for name in ["upper", "upper/etc", "overlay", "merged"] {
            fs::create_dir_all(at(name))?;
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755))?;
        }
        for name in OF_THE_NETWORK {
            let file = at("upper/etc").join(name);
            fs::write(&file, fs::read(Path::new("/etc").join(name)).unwrap_or_default())?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        }
        let lower = at("lower");
        let _ = fs::remove_file(&lower);
        symlink(std::path::absolute(&self.root)?, lower)
    }

    /// What the programs of the machine have as their environment.
    pub(crate) fn outer_env() -> (String, String) {
        ("PATH".to_owned(), PATH.to_owned())
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of the machine.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    PATH.split(':').map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())
}

/// What is missing of some programs, and how to get it.
pub(crate) fn missing(needed: &[(&str, &str)]) -> Option<String> {
    let missing: Vec<&(&str, &str)> = needed.iter().filter(|(name, _)| program(name).is_none()).collect();
    let (programs, packages): (Vec<&str>, Vec<&str>) = missing.into_iter().copied().unzip();
    (!programs.is_empty()).then(|| {
        format!("there is no {} on this machine: apt-get install {}", programs.join(" and no "), packages.join(" "))
    })
}

/// Whether this machine can run a container, and if not, why: it is tried.
///
/// # Errors
/// What is missing, for people.
pub async fn can_contain() -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("only Linux has the namespaces that it needs".to_owned());
    }
    if let Some(missing) = missing(&NEEDED) {
        return Err(missing);
    }
    let mut command = Command::new("/usr/bin/env");
    command.arg("unshare").args((!is_root()).then_some("--map-root-user"));
    command.args([
        "--mount",
        "--propagation",
        "private",
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
    ]);
    command.args(["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "true"]);
    let (name, path) = Container::outer_env();
    command.env_clear().env(name, path).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.map_err(|_| format!("bwrap does not end within {} s", LIMIT.as_secs()))?;
    let output = output.map_err(|error| format!("bwrap cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().rsplit('\n').next().unwrap_or_default().to_owned();
    Err(format!(
        "{said}; it needs namespaces of mounts and processes, which root has unless it is in a container itself without CAP_SYS_ADMIN, and others where \
         `sysctl kernel.unprivileged_userns_clone=1` and `kernel.apparmor_restrict_unprivileged_userns=0` allow it"
    ))
}

/// The exit code that stands in a container's file; none if it has not ended by itself.
pub fn exit_code(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        assert_eq!(missing(&[("sh", "dash")]), None);
        let said = missing(&[("sh", "dash"), ("no-such-program-1", "one"), ("no-such-program-2", "two")]).unwrap();
        let expected =
            "there is no no-such-program-1 and no no-such-program-2 on this machine: apt-get install one two";
        assert_eq!(said, expected);
    }

    #[test]
    fn variables_come_before_the_root_so_that_what_is_cut_off_starts_nothing() {
        let container = Container {
            root: "/roots/x".into(),
            directory: "/data/x".into(),
            working_directory: "/srv".to_owned(),
            user: Some((33, 34)),
            mounts: vec![("/data/x/inputs".into(), "/var/inputs".to_owned())],
            exit: "/data/x.exit".into(),
        };
        let env = [("A".to_owned(), "1\n2".to_owned())];
        let options = container.options(env.into_iter(), Some(Path::new("/etc/secrets"))).unwrap();
        let words: Vec<&str> = options.split_terminator('\0').collect();
        let at = |word: &str| words.iter().position(|other| *other == word).unwrap();
        assert!(at("--setenv") < at("--bind") && words[at("--setenv")..].starts_with(&["--setenv", "A", "1\n2"]));
        assert!(words[at("--uid")..].starts_with(&["--uid", "33", "--gid", "34"]) && !options.contains("--cap-add"));
        assert!(words.ends_with(&["--ro-bind", "/etc/secrets", "/etc/secrets", "--dir", "/srv", "--chdir", "/srv"]));
    }

    /// Whether it runs as root or as somebody without rights, a container sees its own root, and its code is noted.
    #[tokio::test]
    async fn a_container_runs_in_its_root_and_leaves_its_code() {
        if can_contain().await.is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let container = Container {
            // The machine's own, which is there whoever this is.
            root: "/".into(),
            directory: folder.path().join("container"),
            working_directory: "/srv/new".to_owned(),
            user: None,
            mounts: Vec::new(),
            exit: folder.path().join("exit"),
        };
        let launch = crate::Launch {
            argv: ["/bin/sh", "-c", "pwd; id -u; echo $A; echo mine > /etc/mark; exit 7"].map(str::to_owned).into(),
            env: vec![("A".to_owned(), "größe".to_owned()), ("PATH".to_owned(), PATH.to_owned())],
            directory: folder.path().to_owned(),
            log: folder.path().join("log"),
            limits: crate::Limits::default(),
            claim: Some(folder.path().join("claim")),
            mounted: None,
            container: Some(container),
        };
        let ending = crate::spawn(&launch).unwrap().wait().await;
        let said = fs::read_to_string(&launch.log).unwrap();
        assert_eq!((ending, exit_code(&folder.path().join("exit"))), (crate::Ending::Exited(7), Some(7)), "{said}");
        assert_eq!(said, "/srv/new\n0\ngröße\n");
        assert!(!Path::new("/etc/mark").exists());
    }
}
