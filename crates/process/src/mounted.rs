//! Files that only one process and its children see: a file system in memory, in a mount namespace of its own, at a path that several processes
//! have at the same time. It is gone with them.
//!
//! Nothing of it is on a disk, in an argument or in a variable: the texts come to the process by a pipe. Who is not root needs a user
//! namespace for it, in which the process has its own number, and no rights that it had not before.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::process::Command;

/// Files for one process.
#[derive(Clone)]
pub struct Mounted {
    /// Where they are seen.
    pub directory: PathBuf,
    /// Their names below it, and their contents.
    pub files: Vec<(String, String)>,
    /// A directory of this process's own, in which what is missing of the path is made, to be laid over what is there.
    pub beneath: PathBuf,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.files.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Mounted").field("directory", &self.directory).field("files", &names).finish_non_exhaustive()
    }
}

/// What a shell does in the new namespace before it becomes the program: `$1` is the path, `$2` what is laid over its top if it is missing, `$3`
/// says whether the program reads from descriptor 3, and the rest is the program.
const SETUP: &str = r#"directory=$1 beneath=$2 input=$3
shift 3
fail() {
    printf 'spanwise: the secrets cannot be mounted: %s\n' "$1" >&2
    exit 125
}
if [ ! -d "$directory" ]; then
    top=${directory#/}
    top=/${top%%/*}
    below=$(while read -r _ _ _ _ point _; do
        case $point in "$top"/*) printf '%s\n' "${point#"$top"/}" ;; esac
    done < /proc/self/mountinfo)
    # From where it is seen without what is laid over it; and from there, as a path may have letters that separate options.
    (cd "$top" && (cd "$beneath" && mount -t overlay overlay -o "lowerdir=.:$top" "$top") ||
        fail "there is no $directory, and it cannot be laid over $top${below:+ (below which are mounts: $below)}: make it once, as root: mkdir -p $directory"
    # What is mounted below it, as the resolv.conf of a container, is seen as before.
    printf %s "${below:+$below
}" | while read -r point; do
        point=$(printf %b "$point")
        mount --no-canonicalize --rbind "./$point" "$top/$point" ||
            fail "there is no $directory, and with it laid over $top nobody would see $top/$point: make it once, as root: mkdir -p $directory"
    done) || exit
fi
mount -t tmpfs -o size=16m,nr_inodes=4k,mode=0700,nosuid,nodev,noexec spanwise-secrets "$directory" ||
    fail "a file system in memory at $directory is refused"
before=$(umask)
umask 077
while read -r name content <&3 && [ "$name" != . ]; do
    case $name in */*) mkdir -p "$directory/${name%/*}" ;; esac
    printf %s "$content" | base64 -d > "$directory/$name" || fail "$name cannot be written"
done
[ "$name" = . ] || fail "not all secrets came"
umask "$before"
mount -o remount,ro,nosuid,nodev,noexec "$directory" || fail "it cannot be made read-only"
[ "$input" = yes ] || exec 3<&-
exec "$@""#;

/// The programs that this needs, of util-linux and coreutils.
const NEEDED: [&str; 4] = ["unshare", "mount", "setpriv", "base64"];

/// Where they are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest that a try may take.
const LIMIT: Duration = Duration::from_secs(20);

impl Mounted {
    /// The command that becomes `argv` with the files mounted. It reads them from descriptor 3, and `input` says whether `argv` reads on there.
    pub(crate) fn around(&self, argv: &[OsString], input: bool) -> Vec<OsString> {
        self.around_as(rustix::process::geteuid().is_root(), argv, input)
    }

    fn around_as(&self, is_root: bool, argv: &[OsString], input: bool) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![program("unshare"), "--mount".into()];
        if !is_root {
            command.extend(["--user", "--map-current-user", "--keep-caps"].map(OsString::from));
        }
        // The shell has programs of the system, whatever the PATH of the task has.
        let setup = SETUP
            .replace("mount -", &format!("{} -", program("mount").display()))
            .replace("base64 -d", &format!("{} -d", program("base64").display()))
            .replace("mkdir -p \"", &format!("{} -p \"", program("mkdir").display()));
        command.extend(["/bin/sh".into(), "-c".into(), setup.into(), "sh".into()]);
        command.extend([self.directory.clone().into(), self.beneath.clone().into()]);
        command.push(if input { "yes" } else { "no" }.into());
        if !is_root {
            // What the namespace gave is given back: the task has the rights of its user.
            command.push(program("setpriv"));
            command.extend(["--ambient-caps=-all", "--inh-caps=-all", "--bounding-set=-all"].map(OsString::from));
        }
        command.extend(argv.iter().cloned());
        command
    }

    /// What the shell reads: a line for each file, and one that ends them.
    pub(crate) fn text(&self) -> String {
        let line = |(name, content): &(String, String)| format!("{name} {}\n", BASE64.encode(content.as_bytes()));
        self.files.iter().map(line).collect::<String>() + ". .\n"
    }

    /// Makes the directories of the path that are laid over what is there if they are missing.
    pub(crate) fn prepare(&self) -> std::io::Result<()> {
        let below_top: PathBuf = self.directory.components().skip(2).collect();
        std::fs::create_dir_all(self.beneath.join(below_top))
    }
}

fn program(name: &str) -> OsString {
    let found = PATH.split(':').map(|directory| Path::new(directory).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from(name)).into_os_string()
}

/// Whether this machine can mount files for one process, and if not, why: it is tried.
///
/// # Errors
/// What is missing, for people.
pub async fn can_mount(mounted: &Mounted) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("mount namespaces are Linux's".to_owned());
    }
    if let Some(missing) = NEEDED.iter().find(|name| !Path::new(&program(name)).is_absolute()) {
        return Err(format!("the program `{missing}` is not installed (util-linux, coreutils)"));
    }
    mounted.prepare().map_err(|error| format!("make {}: {error}", mounted.beneath.display()))?;
    let empty = Mounted { files: Vec::new(), ..mounted.clone() };
    let around = empty.around(&["/bin/true".into()], false);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec "$@" 3<&0 </dev/null"#, "sh"]).args(&around).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| format!("start unshare: {error}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        use tokio::io::AsyncWriteExt as _;
        // One that has ended says why itself.
        let _ = input.write_all(empty.text().as_bytes()).await;
    }
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = ended.map_err(|_| "unshare does not end".to_owned())?.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let rights = if rustix::process::geteuid().is_root() {
        "root has no right to mount here (a container without CAP_SYS_ADMIN?)"
    } else {
        "user namespaces may be off for who is not root (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, \
         kernel.apparmor_restrict_unprivileged_userns)"
    };
    Err(format!("{}; {rights}", said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_file_is_in_the_command_or_shown() {
        let mounted = Mounted {
            directory: "/etc/flyte/secrets".into(),
            files: vec![("key".to_owned(), "s3cret\nvalue".to_owned()), ("group/key".to_owned(), String::new())],
            beneath: "/nowhere".into(),
        };
        assert!(!format!("{mounted:?} {:?}", mounted.around(&["true".into()], true)).contains("s3cret"));
        assert_eq!(mounted.text(), "key czNjcmV0CnZhbHVl\ngroup/key \n. .\n");
    }

    /// How a test becomes somebody without rights, if it is root.
    fn nobody() -> Vec<OsString> {
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(OsString::from).to_vec()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn s15_2_what_is_mounted_below_the_path_is_seen_as_before_wherever_the_servers_directory_is() {
        use std::io::Write as _;
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let bound = folder.path().join("bound");
        std::fs::write(&bound, "of a container\n").unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let (directory, files) =
            (PathBuf::from("/etc/spanwise-test/secrets"), vec![("key".to_owned(), "s3cret".to_owned())]);
        for name in ["plain", "with:colon", "with,comma", "with space", "with\\backslash\"quote"] {
            let beneath = folder.path().join(name);
            let mounted = Mounted { directory: directory.clone(), files: files.clone(), beneath };
            mounted.prepare().unwrap();
            let look = "cat /etc/spanwise-test/secrets/key; head -n 1 /etc/passwd; pwd";
            let argv = ["/bin/sh", "-c", look].map(OsString::from);
            let there = std::fs::read_to_string("/etc/passwd").unwrap().lines().next().unwrap().to_owned();
            // In a user namespace the kernel lays nothing over what others have mounted something below.
            for (as_nobody, is_bound) in [(false, true), (false, false), (true, false), (true, true)] {
                let user = if as_nobody && is_root { nobody() } else { Vec::new() };
                let mut unshare: Vec<OsString> = vec!["unshare".into(), "--mount".into()];
                unshare.extend((!is_root).then(|| "--map-root-user".into()));
                let bind = if is_bound { r#"mount --bind "$0" /etc/passwd"# } else { "true" };
                let outside = format!(r#"{bind} && exec "$@" 3<&0 </dev/null"#);
                unshare.extend(["sh".into(), "-c".into(), outside.into(), bound.clone().into()]);
                let command = mounted.around_as(!as_nobody, &argv, false);
                let mut child = std::process::Command::new(&unshare[0])
                    .args(unshare[1..].iter().chain(&user).chain(&command))
                    .current_dir("/usr")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                // One that refuses has ended before it reads.
                let _ = child.stdin.take().unwrap().write_all(mounted.text().as_bytes());
                let output = child.wait_with_output().unwrap();
                let (said, errors) =
                    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
                if as_nobody && is_bound {
                    let refused =
                        "cannot be laid over /etc (below which are mounts: passwd): make it once, as root: mkdir";
                    assert!(said.is_empty() && errors.contains(refused), "{said} {errors}");
                    continue;
                }
                let line = if is_bound { "of a container" } else { &there };
                assert_eq!(said, format!("s3cret{line}\n/usr\n"), "{name}, {as_nobody}: {errors}");
            }
        }
    }

    /// Of root, and of a user without rights if this is root, who can be anybody.
    #[cfg(target_os = "linux")]
    #[test]
    fn s15_files_are_seen_by_one_process_whoever_it_is_of() {
        use std::io::Write as _;
        use std::os::unix::fs::PermissionsExt as _;

        let beneath = tempfile::tempdir().unwrap();
        std::fs::set_permissions(beneath.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let files = vec![("key".to_owned(), "s3cret".repeat(9000)), ("team/key".to_owned(), "größe\n".to_owned())];
        let directory = PathBuf::from("/etc/spanwise-test/secrets");
        let mounted = Mounted { directory: directory.clone(), files, beneath: beneath.path().to_owned() };
        mounted.prepare().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let look =
            "cd /etc/spanwise-test/secrets && cat team/key && wc -c < key && id -u && cat <&3; ! touch new; umask";
        let argv = ["/bin/sh", "-c", look].map(OsString::from);
        for as_nobody in [false, true] {
            let user = if as_nobody && is_root { nobody() } else { Vec::new() };
            let command = mounted.around_as(is_root && !as_nobody, &argv, true);
            let mut child = std::process::Command::new("/bin/sh")
                .args(["-c", r#"umask 027; exec "$@" 3<&0 </dev/null"#, "sh"])
                .args(user.iter().chain(&command))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all((mounted.text() + "the rest\n").as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            let number = if as_nobody && is_root { 65534 } else { rustix::process::geteuid().as_raw() };
            assert_eq!(said, format!("größe\n54000\n{number}\nthe rest\n0027\n"), "{errors}");
            assert!(errors.contains("new") && !directory.exists(), "{errors}");
        }
    }
}
