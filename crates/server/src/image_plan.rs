//! What a process can realise of an image: the layers as steps of an installation, and warnings for the others.

use spanwise_process::environments::{Plan, Sdk, Step};
use spanwise_wire::image::{Image, InstallOptions, Layer, published_python};
use spanwise_wire::task::SecretRequest;

/// What tasks are written with: every environment has it.
pub const SDK: Sdk =
    Sdk { name: "flyte", title: "the SDK of Flyte 2", part: "_bin/runtime.py", series: "2.12.", tried: "2.12.1" };

/// Where the images of Flyte have their working directory.
const WORKING_DIRECTORIES: [&str; 2] = ["/root", "/home/flyte"];

/// What an image asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePlan {
    /// What is to be done.
    pub plan: Plan,
    /// What the installer has to have in its environment.
    pub(crate) secrets: Vec<SecretRequest>,
    /// The absolute paths that stand for the working directory of a task.
    working_directories: Vec<String>,
}

/// A layer that cannot be left out and cannot be realised either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownLayer(String);

/// Variables that say where things are in a container; here they are elsewhere.
const OF_CONTAINERS: [&str; 4] = ["PATH", "VIRTUAL_ENV", "PYTHONHOME", "UV_PYTHON"];

impl ImagePlan {
    /// The plan for an image.
    ///
    /// # Errors
    ///
    /// [`UnknownLayer`] if packages would be missing that tasks surely need.
    pub fn of(image: impl Into<Image>) -> Result<ImagePlan, UnknownLayer> {
        let Image { python_version, base, layers } = image.into();
        let plan = Plan { python: version(&python_version), ..Plan::default() };
        let set = layers.iter().filter_map(|layer| match layer {
            Layer::WorkingDirectory(directory) => Some(directory.trim_end_matches('/').to_owned()),
            _ => None,
        });
        let working_directories = WORKING_DIRECTORIES.map(str::to_owned).into_iter().chain(set).collect();
        let mut plan = ImagePlan { plan, secrets: Vec::new(), working_directories };
        if !is_plain(&base) {
            plan.warn(format!("nothing of the base image {base} is there: tasks are processes of this machine, with its programs and its Python"));
        }
        for layer in layers {
            plan.take(layer)?;
        }
        Ok(plan)
    }

    fn take(&mut self, layer: Layer) -> Result<(), UnknownLayer> {
        match layer {
            Layer::Packages { packages, options } => {
                let options = self.arguments(options)?;
                if !packages.is_empty() {
                    self.plan.steps.push(Step::Packages { packages, options });
                }
            }
            Layer::Requirements { file, options } => {
                let step = Step::Requirements { file: inside(&file)?, options: self.arguments(options)? };
                self.plan.steps.push(step);
            }
            Layer::PythonWheel { directory, package, options } => {
                let (directory, options) = (inside(&directory)?, self.arguments(options)?);
                self.plan.steps.push(Step::PythonWheel { directory, package, options });
            }
            Layer::UvProject { project, lock, options } => {
                let (directory, lock, options) = (inside(&project)?, inside(&lock)?, self.arguments(options)?);
                self.plan.steps.push(Step::UvProject { directory, lock, options });
            }
            Layer::PoetryProject => {
                let text = "a poetry project cannot be installed here: export it with `poetry export` and use `with_requirements`";
                return Err(UnknownLayer(text.to_owned()));
            }
            Layer::Variables(variables) => self.take_variables(variables),
            Layer::Copy { from, to } => {
                let step = Step::Copy { from: inside(&from)?, to: inside(&self.in_working_directory(&to)?)? };
                self.plan.steps.push(step);
            }
            Layer::DebianPackages(packages) => {
                let packages = packages.join(", ");
                self.warn(format!("Debian packages are not installed: tasks have those of this machine ({packages})"));
            }
            Layer::Commands(commands) => {
                for command in commands {
                    self.warn(format!("a command is not run: tasks are processes of this machine ({command})"));
                }
            }
            Layer::WorkingDirectory(directory) => self
                .warn(format!("the working directory `{directory}` is not made: each task has one of its own, with what was copied there")),
            Layer::Unknown => {
                return Err(UnknownLayer("a layer of a kind that this version does not know".to_owned()));
            }
        }
        Ok(())
    }

    /// A destination relative to the working directory: tasks are processes of this machine, and nothing of it is written over.
    fn in_working_directory(&self, to: &str) -> Result<String, UnknownLayer> {
        if !to.starts_with('/') {
            return Ok(to.to_owned());
        }
        let below = |directory: &String| {
            let rest = to.strip_prefix(directory.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let found = self.working_directories.iter().find_map(below);
        let rest = found.ok_or_else(|| {
            let directories = self.working_directories.join("`, `");
            UnknownLayer(format!(
                "files cannot be copied to `{to}`: tasks are processes of this machine, which has a file system of its own; copy them to a \
                 relative path, or below the working directory (`{directories}`, or what with_workdir says), and open them by a relative path"
            ))
        })?;
        Ok(if rest.is_empty() { ".".to_owned() } else { rest })
    }

    fn take_variables(&mut self, variables: Vec<(String, String)>) {
        for (name, value) in variables {
            if OF_CONTAINERS.contains(&name.as_str()) {
                self.warn(format!("the variable {name} is not set: it names places in a container"));
            } else {
                self.plan.env.retain(|(other, _)| *other != name);
                self.plan.env.push((name, value));
            }
        }
    }

    /// The options of a layer as arguments, which are the same for pip and uv. The secrets that it needs are asked for.
    fn arguments(&mut self, options: InstallOptions) -> Result<Vec<String>, UnknownLayer> {
        for request in options.secrets {
            if !self.secrets.contains(&request) {
                self.secrets.push(request);
            }
        }
        let mut arguments = Vec::new();
        if !options.index_url.is_empty() {
            arguments.extend(["--index-url".to_owned(), options.index_url]);
        }
        for url in options.extra_index_urls {
            arguments.extend(["--extra-index-url".to_owned(), url]);
        }
        if options.pre {
            arguments.push("--pre".to_owned());
        }
        arguments.extend(words(&options.extra_args)?);
        Ok(arguments)
    }

    fn warn(&mut self, text: String) {
        if !self.plan.warnings.contains(&text) {
            self.plan.warnings.push(text);
        }
    }
}

/// Whether an image is one of those that the SDK lays layers on by itself: Python and the SDK, which every environment has.
fn is_plain(base: &str) -> bool {
    base.is_empty() || base.starts_with("python:") || published_python(base).is_some()
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A path that stays inside the files that came with the image.
fn inside(path: &str) -> Result<String, UnknownLayer> {
    use std::path::{Component, Path};
    let stays = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if Path::new(path).components().all(stays) {
        Ok(path.to_owned())
    } else {
        Err(UnknownLayer(format!("`{path}` leads out of the files that came with the image")))
    }
}

/// The words of a command line, with quotes and backslashes as a shell reads them.
fn words(text: &str) -> Result<Vec<String>, UnknownLayer> {
    let unended = || UnknownLayer(format!("extra_args: a quote or backslash without its end in `{text}`"));
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            blank if blank.is_whitespace() => words.extend(word.take()),
            quote @ ('"' | '\'') => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or_else(unended)? {
                        end if end == quote => break,
                        '\\' if quote == '"' => word.push(characters.next().ok_or_else(unended)?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next().ok_or_else(unended)?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::imagebuilder::{
        AptPackages, CopyConfig, Env, ImageSpec, Layer, PipOptions, PipPackages, WorkDir, layer::Layer as Kind,
    };

    use super::*;

    fn spec(layers: Vec<Kind>) -> ImageSpec {
        let layers = layers.into_iter().map(|layer| Layer { layer: Some(layer), ..Layer::default() }).collect();
        ImageSpec { python_version: "3.11".to_owned(), layers, ..ImageSpec::default() }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn python_layers_are_steps_with_their_options() {
        let pip = PipOptions {
            index_url: "https://one".to_owned(),
            extra_index_urls: texts(&["https://two"]),
            pre: true,
            extra_args: r#"--no-deps --find-links "a b" c\ d ''"#.to_owned(),
            ..PipOptions::default()
        };
        let layer = PipPackages { packages: texts(&["six"]), options: pip.into(), ..PipPackages::default() };
        let plan = ImagePlan::of(&spec(vec![Kind::PipPackages(layer.into())])).unwrap().plan;
        assert_eq!(plan.python, Some((3, 11)));
        let options = "--index-url https://one --extra-index-url https://two --pre --no-deps --find-links";
        let options = options.split(' ').chain(["a b", "c d", ""]).map(str::to_owned).collect();
        assert_eq!(plan.steps, [Step::Packages { packages: texts(&["six"]), options }]);
        assert!(plan.warnings.is_empty());
    }

    #[test]
    fn s9_what_a_process_cannot_realise_is_a_warning() {
        let apt = AptPackages { packages: texts(&["git", "ffmpeg"]), ..AptPackages::default() };
        let env = [("PATH", "/opt/venv/bin:$PATH"), ("COLOUR", "blue")];
        let env_variables = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let env = Env { env_variables, ..Env::default() };
        let layers = vec![Kind::AptPackages(apt.into()), Kind::Env(env.into())];
        let plan = ImagePlan::of(&spec(layers)).unwrap().plan;
        assert!(plan.steps.is_empty());
        assert_eq!(plan.env, [("COLOUR".to_owned(), "blue".to_owned())]);
        let said = plan.warnings.join("\n");
        assert!(["git, ffmpeg", "PATH"].iter().all(|part| said.contains(part)), "{said}");
    }

    #[test]
    fn s9_a_base_image_that_is_more_than_python_is_a_warning() {
        let warnings = |base: &str| {
            let spec = ImageSpec { base_image: base.to_owned(), ..spec(Vec::new()) };
            ImagePlan::of(&spec).unwrap().plan.warnings
        };
        for base in ["", "python:3.12-slim-bookworm", "ghcr.io/flyteorg/flyte:py3.12-v2.12.1"] {
            assert!(warnings(base).is_empty(), "{base}");
        }
        for base in ["nvcr.io/nvidia/pytorch:24.01-py3", "team/base@sha256:00"] {
            assert!(warnings(base)[0].contains(base), "{base}");
        }
    }

    #[test]
    fn s9_files_are_copied_into_the_working_directory_and_nowhere_else() {
        let plan = |to: &str, workdir: &str| {
            let copy = CopyConfig { src: "x/a.csv".to_owned(), dst: to.to_owned(), ..CopyConfig::default() };
            let mut layers = vec![Kind::CopyConfig(copy.into())];
            if !workdir.is_empty() {
                let workdir = WorkDir { workdir: workdir.to_owned(), ..WorkDir::default() };
                layers.push(Kind::Workdir(workdir.into()));
            }
            ImagePlan::of(&spec(layers)).map(|plan| plan.plan.steps)
        };
        for (to, workdir, expected) in [
            (".", "", "."),
            ("./data/", "", "./data/"),
            ("/root", "", "."),
            ("/root/", "", "."),
            ("/root/data/b.csv", "", "data/b.csv"),
            ("/home/flyte/b.csv", "", "b.csv"),
            ("/app/b.csv", "/app/", "b.csv"),
        ] {
            let expected = Step::Copy { from: "x/a.csv".to_owned(), to: expected.to_owned() };
            assert_eq!(plan(to, workdir).unwrap(), [expected], "{to} {workdir}");
        }
        for to in ["/", "/etc/x", "/rootless/x", "/app/b.csv", "/root/../etc/x", "../x"] {
            let refused = plan(to, "").unwrap_err().to_string();
            assert!(refused.contains(to.trim_start_matches("/root/")), "{refused}");
        }
    }

    #[test]
    fn paths_do_not_leave_the_files_of_the_image() {
        let copy = CopyConfig { src: "../x".to_owned(), dst: ".".to_owned(), ..CopyConfig::default() };
        assert!(ImagePlan::of(&spec(vec![Kind::CopyConfig(copy.into())])).is_err());
        assert!(words("--x 'y").is_err());
    }
}
