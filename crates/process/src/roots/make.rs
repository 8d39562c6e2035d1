//! Making a root: by `skopeo` and `umoci`, or by `debootstrap` in the place of an image of Debian that cannot be had.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::record::{ROOT, Record};
use super::{Error, Inner, Key, Settings, Wanted, debian, say};
use crate::container::missing;
use crate::step::{self, Failed};
use crate::unfinished::Unfinished;
use crate::{Launch, Limits, random_name, remove_tree};

/// What brings images and unpacks them, with its packages of Debian.
pub(super) const NEEDED: [(&str, &str); 2] = [("skopeo", "skopeo"), ("umoci", "umoci")];

const DEBOOTSTRAP: (&str, &str) = ("debootstrap", "debootstrap");

/// Where images can come from beside a registry, as skopeo writes it.
const TRANSPORTS: [&str; 5] = ["oci:", "oci-archive:", "docker-archive:", "docker://", "dir:"];

/// What a registry says that will say the same again.
const FOR_GOOD: [&str; 6] = [
    "manifest unknown",
    "name unknown",
    "unauthorized",
    "denied",
    "invalid reference format",
    "no such file or directory",
];

/// What images of Debian have as their environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A root that is being made.
struct Site<'a> {
    wanted: &'a Wanted<'a>,
    unfinished: Unfinished,
}

/// Makes the root and its record.
pub(super) async fn make(inner: &Inner, key: &Key, wanted: &Wanted<'_>) -> Result<(), Error> {
    let started = Instant::now();
    let name = format!("{}-{}", key.0, random_name());
    let unfinished = Unfinished::new(inner.directory.join(&name), inner.grace, inner.stopping.clone());
    let mut site = Site { wanted, unfinished };
    let done = match site.make().await {
        Ok((settings, warnings)) => {
            let bytes = size(site.unfinished.directory.clone()).await;
            // The record survives a power cut; what it says is complete does, too.
            settle(site.unfinished.directory.clone()).await.map_err(|error| site.io("write to the disk", error))?;
            let record = Record { image: wanted.image.to_owned(), directory: name, settings, warnings, bytes };
            let written = record.write(&inner.directory, key);
            written.map(|()| bytes).map_err(|source| site.io("write the record beside", source))
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(bytes) => {
            site.unfinished.keep();
            let (seconds, megabytes) = (started.elapsed().as_secs_f64(), bytes.div_ceil(1 << 20));
            say(wanted.log, &format!("the root of {} is ready after {seconds:.1} s: {megabytes} MiB", wanted.image))?;
            tracing::info!(image = wanted.image, elapsed = ?started.elapsed(), bytes, "made a root");
            Ok(())
        }
        Err(error) => {
            site.unfinished.remove().await;
            Err(error)
        }
    }
}

impl Site<'_> {
    async fn make(&mut self) -> Result<(Settings, Vec<String>), Error> {
        fs::create_dir_all(&self.unfinished.directory).map_err(|error| self.io("make directory", error))?;
        let image = self.wanted.image;
        let release = debian::release(image);
        let refused = match missing(&NEEDED) {
            Some(missing) => Error::Missing(format!("the image {image} cannot be had: {missing}")),
            None => match self.pull().await {
                Ok(settings) => return Ok((settings, Vec::new())),
                Err(error) => error,
            },
        };
        match release {
            // What a registry does not have, nothing stands in for.
            Some(release) if !matches!(refused, Error::NoSuchImage(_)) => self.bootstrap(&release, refused).await,
            _ => Err(refused),
        }
    }

    /// Brings the image and unpacks it.
    async fn pull(&mut self) -> Result<Settings, Error> {
        let image = self.wanted.image;
        let (layout, root) = (self.at("image"), self.at(ROOT));
        say(self.wanted.log, &format!("getting the image {image}"))?;
        let (from, is_local) = source(image);
        let mut argv = words(&["skopeo", "copy", "--override-os", "linux"]);
        if !self.has_policy() {
            argv.push("--insecure-policy".to_owned());
        }
        argv.extend(is_local.then(|| "--src-tls-verify=false".to_owned()));
        argv.extend([from, format!("oci:{}:image", layout.display())]);
        self.run(&format!("get the image {image}"), argv).await.map_err(|error| for_good(image, error))?;
        let mut argv = words(&["umoci", "raw", "unpack"]);
        argv.extend((!rustix::process::geteuid().is_root()).then(|| "--rootless".to_owned()));
        argv.extend(["--image".to_owned(), format!("{}:image", layout.display()), root.display().to_string()]);
        self.run(&format!("unpack the image {image}"), argv).await?;
        let settings =
            Settings::of_layout(&layout).map_err(|error| self.io("read the configuration of the image in", error))?;
        remove_tree(&layout).map_err(|error| self.io("remove a directory of", error))?;
        Ok(settings)
    }

    /// Whether somebody has said whose images are trusted.
    fn has_policy(&self) -> bool {
        let of =
            |name: &str| self.wanted.env.iter().find(|(other, _)| other == name).map(|(_, value)| PathBuf::from(value));
        let own = of("XDG_CONFIG_HOME").or_else(|| Some(of("HOME")?.join(".config")));
        let directories = own.into_iter().chain(["/etc".into()]);
        directories.map(|directory| directory.join("containers/policy.json")).any(|policy| policy.exists())
    }

    /// Makes a root of the same release from a mirror of Debian.
    async fn bootstrap(&mut self, release: &str, refused: Error) -> Result<(Settings, Vec<String>), Error> {
        let image = self.wanted.image;
        // What may pass stays what may pass.
        let no = |why: String| {
            let hint = format!("debootstrap could make a Debian root in its place: {why}");
            Err(match refused {
                Error::Step { doing, ending, last_lines } => {
                    Error::Step { doing, ending, last_lines: format!("{last_lines}\n{hint}") }
                }
                refused => Error::Missing(format!("{refused}; {hint}")),
            })
        };
        if let Some(missing) = missing(&[DEBOOTSTRAP]) {
            return no(missing);
        }
        if !rustix::process::geteuid().is_root() {
            return no("only root can run it, and this server is not root's".to_owned());
        }
        // What a broken try has left is none of its.
        let _ = remove_tree(&self.at("image"));
        let _ = remove_tree(&self.at(ROOT));
        let mirror = debian::mirror();
        let from = mirror.as_deref().unwrap_or("the mirror of debootstrap");
        let warning = format!(
            "the image {image} could not be had: its root is a Debian {release} made by debootstrap from {from}"
        );
        say(self.wanted.log, &format!("warning: {warning}"))?;
        // What it mounts in the root is seen by nobody else, and gone with it.
        let mut argv =
            words(&["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase", release]);
        argv.extend(std::iter::once(self.at(ROOT).display().to_string()).chain(mirror));
        self.run(&format!("make a Debian root in the place of {image}"), argv).await?;
        let _ = remove_tree(&self.at(ROOT).join("var/cache/apt/archives"));
        let settings = Settings {
            env: vec![("PATH".to_owned(), PATH.to_owned())],
            command: words(&["bash"]),
            ..Settings::default()
        };
        Ok((settings, vec![warning]))
    }

    async fn run(&mut self, doing: &str, argv: Vec<String>) -> Result<(), Error> {
        let launch = Launch {
            argv,
            env: self.env(),
            directory: self.unfinished.directory.clone(),
            log: self.wanted.log.to_owned(),
            limits: Limits::default(),
            claim: None,
            mounted: None,
            container: None,
        };
        let done = step::run(&launch, &mut self.unfinished, self.wanted.started, self.wanted.hidden).await;
        done.map_err(|failed| match failed {
            Failed::Start(source) => Error::Start { doing: doing.to_owned(), source },
            Failed::Ended { ending, last_lines } => Error::Step { doing: doing.to_owned(), ending, last_lines },
        })
    }

    /// The server's own, with the directories of programs that only root has on its PATH.
    fn env(&self) -> Vec<(String, String)> {
        let mut env = self.wanted.env.clone();
        let own = env.iter().position(|(name, _)| name == "PATH").map(|index| env.swap_remove(index).1);
        env.push(("PATH".to_owned(), own.into_iter().chain([PATH.to_owned()]).collect::<Vec<_>>().join(":")));
        env
    }

    fn at(&self, name: &str) -> PathBuf {
        self.unfinished.directory.join(name)
    }

    fn io(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Io { doing, path: self.unfinished.directory.clone(), source }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Where skopeo finds an image, and whether that is a registry of this machine, which needs no certificate.
fn source(image: &str) -> (String, bool) {
    if TRANSPORTS.iter().any(|transport| image.starts_with(transport)) {
        let registry = image.strip_prefix("docker://");
        return (image.to_owned(), registry.is_some_and(is_of_this_machine));
    }
    (format!("docker://{image}"), is_of_this_machine(image))
}

fn is_of_this_machine(image: &str) -> bool {
    let Some((registry, _)) = image.split_once('/') else { return false };
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// A failure that another try would meet again has a name of its own.
fn for_good(image: &str, error: Error) -> Error {
    match &error {
        Error::Step { last_lines, .. } if FOR_GOOD.iter().any(|said| last_lines.contains(said)) => {
            let said = last_lines.rsplit('\n').next().unwrap_or_default();
            Error::NoSuchImage(format!("the image {image} cannot be had: {said}{}", login(said)))
        }
        _ => error,
    }
}

/// How somebody whom a registry does not know logs in.
fn login(said: &str) -> &'static str {
    match said.contains("unauthorized") || said.contains("denied") {
        true => " (log in as the server's user: `skopeo login HOST`, or set REGISTRY_AUTH_FILE)",
        false => "",
    }
}

/// Waits until all that was written to a file system is on the disk.
async fn settle(directory: PathBuf) -> io::Result<()> {
    let synced = tokio::task::spawn_blocking(move || Ok(rustix::fs::syncfs(fs::File::open(directory)?)?));
    synced.await.map_err(io::Error::other)?
}

/// What a directory takes on the disk; what cannot be looked at counts for nothing.
async fn size(directory: PathBuf) -> u64 {
    fn of(directory: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let each = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
        each.map(|(path, metadata)| metadata.blocks() * 512 + if metadata.is_dir() { of(&path) } else { 0 }).sum()
    }
    tokio::task::spawn_blocking(move || of(&directory)).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_comes_from_a_registry_unless_it_names_something_else() {
        for (image, from, is_local) in [
            ("alpine:3.20", "docker://alpine:3.20", false),
            ("localhost/x", "docker://localhost/x", true),
            ("localhost:5000/team/x:1", "docker://localhost:5000/team/x:1", true),
            ("docker://127.0.0.1:5000/x", "docker://127.0.0.1:5000/x", true),
            ("localhost.example/x", "docker://localhost.example/x", false),
            ("oci:/srv/layout:tag", "oci:/srv/layout:tag", false),
            ("docker-archive:/srv/image.tar", "docker-archive:/srv/image.tar", false),
        ] {
            assert_eq!(source(image), (from.to_owned(), is_local), "{image}");
        }
    }

    #[test]
    fn what_a_registry_will_say_again_is_final() {
        let step = |last_lines: &str| Error::Step {
            doing: "get".to_owned(),
            ending: "exit code 1".to_owned(),
            last_lines: last_lines.to_owned(),
        };
        assert!(matches!(for_good("x", step("level=fatal msg=\"manifest unknown\"")), Error::NoSuchImage(_)));
        assert!(matches!(for_good("x", step("dial tcp: no such host")), Error::Step { .. }));
    }
}
