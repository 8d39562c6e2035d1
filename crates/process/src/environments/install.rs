//! The installer of an environment: uv if the machine has it, else pip.

use std::fs;
use std::path::PathBuf;

use super::origin::Origin;
use super::plan::Step;
use super::site::Site;
use super::{Error, files};

/// Which program installs packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Installer {
    Uv(PathBuf),
    Pip,
}

impl Installer {
    /// Sees to it that there is an installer, and the SDK if the environment does not see the server's.
    pub(super) async fn prepare(site: &mut Site<'_>, origin: &Origin) -> Result<Installer, Error> {
        let installer = files::on_path("uv").map_or(Installer::Pip, Installer::Uv);
        if installer == Installer::Pip && origin.shares_packages() && !site.base.has_pip() {
            let argv = vec![site.python(), "-m".into(), "ensurepip".into()];
            site.run("install pip", argv).await?;
        }
        // uv looks at an environment's own packages only.
        if !(origin.shares_packages() && installer == Installer::Pip) {
            let sdk: Vec<String> = site.requirement().into_iter().collect();
            if !sdk.is_empty() || site.has_sdk {
                installer.run(site, "the SDK", Vec::new(), sdk).await?;
            }
        }
        Ok(installer)
    }

    pub(super) async fn install(&self, site: &mut Site<'_>, step: &Step) -> Result<(), Error> {
        let sdk = site.base.sdk();
        let in_context = |path: &str| site.context().join(path).display().to_string();
        match step {
            Step::Packages { packages, options } => {
                let is_left_out = |package: &String| !site.has_sdk && sdk.is_named_by(package);
                let mut what: Vec<String> = packages.iter().filter(|package| !is_left_out(package)).cloned().collect();
                if what.is_empty() {
                    return Ok(());
                }
                if !packages.iter().any(|package| sdk.is_named_by(package)) && !is_alone(options) {
                    what.extend(site.beside());
                }
                self.run(site, &packages.join(" "), options.clone(), what).await
            }
            Step::Requirements { file, options } => {
                let path = in_context(file);
                let text = fs::read_to_string(&path).map_err(|error| site.io("read a requirements file of", error))?;
                let mut what = vec!["--requirement".to_owned(), path];
                if !text.lines().any(|line| sdk.is_named_by(line)) && !is_alone(options) {
                    what.extend(site.beside());
                }
                self.run(site, &format!("requirements from {file}"), options.clone(), what).await
            }
            Step::PythonWheel { directory, package, options } => {
                let mut options = options.clone();
                options.extend(["--find-links".to_owned(), in_context(directory)]);
                let what = vec![package.clone()];
                self.run(site, &format!("what {package} needs"), options.clone(), what.clone()).await?;
                // Again and alone, so that the file wins over a release of the same package in the index.
                let reinstall = if matches!(self, Installer::Pip) { "--force-reinstall" } else { "--reinstall" };
                options.extend(["--no-deps", "--no-index", reinstall].map(str::to_owned));
                self.run(site, &format!("{package} from its file"), options, what).await
            }
            Step::UvProject { directory, lock, options } => self.sync(site, directory, lock, options).await,
            Step::Copy { .. } => Ok(()),
        }
    }

    async fn run(
        &self,
        site: &mut Site<'_>,
        title: &str,
        options: Vec<String>,
        what: Vec<String>,
    ) -> Result<(), Error> {
        let (name, mut argv) = match self {
            Installer::Uv(uv) => {
                let uv = uv.display().to_string();
                ("uv", vec![uv, "pip".into(), "install".into(), "--python".into(), site.python()])
            }
            Installer::Pip => ("pip", vec![site.python(), "-m".into(), "pip".into(), "install".into()]),
        };
        site.say(&format!("installing {title} with {name}"))?;
        argv.extend(options);
        argv.extend(what);
        site.run(&format!("install {title}"), argv).await
    }

    /// Only uv understands its projects, so without one it is installed first.
    async fn sync(&self, site: &mut Site<'_>, project: &str, lock: &str, options: &[String]) -> Result<(), Error> {
        let uv = match self {
            Installer::Uv(uv) => uv.clone(),
            Installer::Pip => {
                self.run(site, "uv", Vec::new(), vec!["uv".to_owned()]).await?;
                site.directory().join("bin/uv")
            }
        };
        let project = site.context().join(project);
        let beside = project.join("uv.lock");
        if !lock.is_empty() && !beside.exists() {
            let copied = fs::copy(site.context().join(lock), &beside);
            copied.map_err(|error| site.io("copy a lock file in", error))?;
        }
        let mut argv = vec![uv.display().to_string()];
        argv.extend(["sync", "--active", "--inexact", "--no-editable", "--python"].map(str::to_owned));
        argv.extend([site.python(), "--project".to_owned(), project.display().to_string()]);
        argv.extend_from_slice(options);
        site.say("installing a project with uv")?;
        site.run("install a project with uv", argv).await
    }
}

/// Whether the options are about single packages, so that nothing else may be added.
fn is_alone(options: &[String]) -> bool {
    options.iter().any(|option| option == "--no-index" || option == "--no-deps")
}
