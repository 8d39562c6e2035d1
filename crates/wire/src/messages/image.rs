//! Images: what the description of one says, and what the task that builds one is asked for.

use std::time::Duration;

use bytes::Bytes;
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{
    Identifier, Literal, LiteralType, ResourceType, Secret, TaskMetadata, TaskTemplate, TypedInterface,
};
use spanwise_proto::flyteidl2::imagebuilder::{self, ImageSpec, layer::Layer as Kind};
use spanwise_proto::flyteidl2::task::{DocumentationEntity, TaskSpec};

use crate::ids::TaskKey;
use crate::task::{IMAGE_BUILD, SecretRequest, as_variable};
use crate::{Invalid, TaskInputs, times, values};

/// The description of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The version of Python that it asks for, for instance `3.12`; empty if it does not say.
    pub python_version: String,
    /// The image that its layers are laid on; empty if it does not say.
    pub base: String,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image. Paths are relative to the files that come with the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Packages by name.
    Packages {
        /// Their names, with versions.
        packages: Vec<String>,
        /// How they are installed.
        options: InstallOptions,
    },
    /// Packages from a requirements file.
    Requirements {
        /// The file.
        file: String,
        /// How they are installed.
        options: InstallOptions,
    },
    /// A package as a file.
    PythonWheel {
        /// Where the file is.
        directory: String,
        /// The name of the package.
        package: String,
        /// How it is installed.
        options: InstallOptions,
    },
    /// A project with its lock file.
    UvProject {
        /// Its `pyproject.toml`.
        project: String,
        /// Its lock file.
        lock: String,
        /// How it is installed.
        options: InstallOptions,
    },
    /// A project of poetry's.
    PoetryProject,
    /// Variables, sorted by their names.
    Variables(Vec<(String, String)>),
    /// Files.
    Copy {
        /// Where they are.
        from: String,
        /// Where they go.
        to: String,
    },
    /// Debian packages.
    DebianPackages(Vec<String>),
    /// Commands of a shell.
    Commands(Vec<String>),
    /// The directory in which tasks are started.
    WorkingDirectory(String),
    /// A layer of a kind that this version does not know.
    Unknown,
}

/// How packages are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallOptions {
    /// The index; empty for the usual one.
    pub index_url: String,
    /// Further indexes.
    pub extra_index_urls: Vec<String>,
    /// Versions before their release count too.
    pub pre: bool,
    /// Further arguments, as they are written on a command line.
    pub extra_args: String,
    /// Secrets that the installer needs, each as a variable.
    pub secrets: Vec<SecretRequest>,
}

impl Image {
    /// Reads a description.
    ///
    /// # Errors
    /// [`Invalid::Decode`] if it is none.
    pub fn read(description: &[u8]) -> Result<Image, Invalid> {
        let what = "description of an image";
        let spec = ImageSpec::decode_from_slice(description).map_err(|source| Invalid::Decode { what, source })?;
        Ok(Image::from(&spec))
    }
}

impl From<&ImageSpec> for Image {
    fn from(spec: &ImageSpec) -> Image {
        let (python_version, base) = (spec.python_version.clone(), spec.base_image.clone());
        Image { python_version, base, layers: spec.layers.iter().map(layer).collect() }
    }
}

fn layer(layer: &imagebuilder::Layer) -> Layer {
    let Some(kind) = &layer.layer else { return Layer::Unknown };
    match kind {
        Kind::PipPackages(layer) => {
            Layer::Packages { packages: layer.packages.clone(), options: options(&layer.options, &layer.secret_mounts) }
        }
        Kind::Requirements(layer) => {
            Layer::Requirements { file: layer.file.clone(), options: options(&layer.options, &layer.secret_mounts) }
        }
        Kind::PythonWheels(layer) => Layer::PythonWheel {
            directory: layer.dir.clone(),
            package: layer.package_name.clone(),
            options: options(&layer.options, &layer.secret_mounts),
        },
        Kind::UvProject(layer) => Layer::UvProject {
            project: layer.pyproject.clone(),
            lock: layer.uvlock.clone(),
            options: options(&layer.options, &layer.secret_mounts),
        },
        Kind::PoetryProject(_) => Layer::PoetryProject,
        Kind::Env(layer) => {
            let variables = layer.env_variables.iter().map(|(name, value)| (name.clone(), value.clone()));
            let mut variables: Vec<(String, String)> = variables.collect();
            variables.sort();
            Layer::Variables(variables)
        }
        Kind::CopyConfig(layer) => Layer::Copy { from: layer.src.clone(), to: layer.dst.clone() },
        Kind::AptPackages(layer) => Layer::DebianPackages(layer.packages.clone()),
        Kind::Commands(layer) => Layer::Commands(layer.cmd.clone()),
        Kind::Workdir(layer) => Layer::WorkingDirectory(layer.workdir.clone()),
    }
}

fn options(options: &imagebuilder::PipOptions, secrets: &[Secret]) -> InstallOptions {
    InstallOptions {
        index_url: options.index_url.clone(),
        extra_index_urls: options.extra_index_urls.clone(),
        pre: options.pre,
        extra_args: options.extra_args.clone(),
        secrets: secrets.iter().map(as_variable).collect(),
    }
}

/// The version of Python that a published image of Flyte has, by its name: `ghcr.io/flyteorg/flyte:py3.12-v2.12.1`. None for other images.
pub fn published_python(image: &str) -> Option<(u32, u32)> {
    let (major, minor) = published(image)?.0.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The version of the SDK that a published image of Flyte has, by its name. None for other images, and for what was never released.
pub fn published_sdk(image: &str) -> Option<&str> {
    let version = published(image)?.1.strip_prefix('v')?;
    let is_release = version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok());
    is_release.then_some(version)
}

/// The versions in the name of a published image, of Python and of the SDK.
fn published(image: &str) -> Option<(&str, &str)> {
    let (name, tag) = image.rsplit_once(':')?;
    let is_flyte = name.rsplit('/').next() == Some("flyte");
    tag.strip_prefix("py").filter(|_| is_flyte).map(|tag| tag.split_once('-').unwrap_or((tag, "")))
}

/// What the task that builds images is asked for: the inputs that the stock SDK's remote image builder gives it (`remote_builder.py`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRequest {
    /// Where the description of the image is.
    pub description: String,
    /// Where the files are that belong to it; empty if there are none.
    pub files: String,
    /// The image, as the SDK names it.
    pub image: String,
}

impl ImageRequest {
    /// Reads the inputs of a build.
    ///
    /// # Errors
    /// [`Invalid::Decode`] if they are no `inputs.pb`.
    pub fn read(inputs: &[u8]) -> Result<ImageRequest, Invalid> {
        Ok(ImageRequest::of(&TaskInputs::read(inputs)?))
    }

    /// The request that stands in the inputs of a build. What is missing is empty.
    pub fn of(inputs: &TaskInputs) -> ImageRequest {
        let mut request = ImageRequest::default();
        for literal in &inputs.values().literals {
            let text = || literal.value.as_str().unwrap_or_default().to_owned();
            match literal.name.as_str() {
                "spec" => request.description = text(),
                "context" => request.files = text(),
                "target_image" => request.image = text(),
                _ => {}
            }
        }
        request
    }
}

/// The task that builds images as a definition: there is one in every organisation without anybody having deployed it. Its name and its
/// interface are those that the stock SDK's remote image builder looks for (`remote_builder.py`).
pub fn builder(key: &TaskKey, limit: Duration) -> TaskSpec {
    let TaskKey { scope, name, version } = key.clone();
    let (org, project, domain) = (scope.org, scope.project, scope.domain);
    let resource_type = ResourceType::TASK.into();
    let id = Identifier { resource_type, org, project, domain, name, version, ..Identifier::default() };
    let inputs = ["spec", "context", "target_image"].map(|name| (name, LiteralType::string()));
    let template = TaskTemplate {
        id: id.into(),
        r#type: IMAGE_BUILD.to_owned(),
        metadata: TaskMetadata { timeout: times::duration(limit).into(), ..TaskMetadata::default() }.into(),
        interface: TypedInterface::new(inputs, [("o0", LiteralType::string())]).into(),
        ..TaskTemplate::default()
    };
    let documentation = DocumentationEntity {
        short_description: "Makes the Python environment that an image stands for.".to_owned(),
        ..DocumentationEntity::default()
    };
    TaskSpec {
        task_template: template.into(),
        short_name: key.name.clone(),
        documentation: documentation.into(),
        ..TaskSpec::default()
    }
}

/// The outputs of a build: the image, as the SDK names it.
pub fn outputs(image: &str) -> Bytes {
    values::single_output(Literal::string(image))
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::imagebuilder::{Env, PipOptions, PipPackages};
    use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral};

    use super::*;

    #[test]
    fn a_description_is_read_with_every_layer_and_without_guesses() {
        let secret = Secret { key: "index-token".to_owned(), ..Secret::default() };
        let pip = PipPackages {
            packages: vec!["six".to_owned()],
            options: PipOptions { index_url: "https://one".to_owned(), pre: true, ..PipOptions::default() }.into(),
            secret_mounts: vec![secret.clone()],
            ..PipPackages::default()
        };
        let env_variables = [("B", "2"), ("A", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = Env { env_variables: env_variables.into_iter().collect(), ..Env::default() };
        let layers = [Some(Kind::PipPackages(pip.into())), Some(Kind::Env(env.into())), None];
        let layers = layers.map(|layer| imagebuilder::Layer { layer, ..imagebuilder::Layer::default() });
        let base_image = "team/base:1".to_owned();
        let python_version = "3.11".to_owned();
        let spec = ImageSpec { python_version, base_image, layers: layers.into(), ..ImageSpec::default() };
        let options = InstallOptions {
            index_url: "https://one".to_owned(),
            pre: true,
            secrets: vec![as_variable(&secret)],
            ..InstallOptions::default()
        };
        let variables = [("A", "1"), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = Image {
            python_version: "3.11".to_owned(),
            base: "team/base:1".to_owned(),
            layers: vec![
                Layer::Packages { packages: vec!["six".to_owned()], options },
                Layer::Variables(variables.into()),
                Layer::Unknown,
            ],
        };
        assert_eq!(Image::read(&spec.encode_to_vec()).unwrap(), expected);
        assert!(Image::read(b"\xff").unwrap_err().to_string().contains("description of an image"));
    }

    #[test]
    fn a_published_image_has_its_python_in_its_name() {
        for (image, expected) in [
            ("ghcr.io/flyteorg/flyte:py3.12-v2.12.1", Some((3, 12))),
            ("localhost:5000/flyte:py3.9", Some((3, 9))),
            ("flyte:py3.13-v2.0.0b52", Some((3, 13))),
            ("flyte:3.12", None),
            ("team/flyte-x:py3.12", None),
            ("python:3.12-slim", None),
            ("flyte:py3", None),
            ("flyte", None),
            ("", None),
        ] {
            assert_eq!(published_python(image), expected, "{image}");
        }
    }

    #[test]
    fn a_request_is_read_from_the_inputs_by_their_names() {
        let texts = [("spec", "s3://a"), ("target_image", "team/flyte:1"), ("other", "x")];
        let literals = texts.map(|(name, text)| NamedLiteral::new(name, Literal::string(text)));
        let inputs = values::encode_inputs(&Inputs { literals: literals.into(), ..Inputs::default() });
        let request = ImageRequest::read(&inputs).unwrap();
        let (description, image) = ("s3://a".to_owned(), "team/flyte:1".to_owned());
        assert_eq!(request, ImageRequest { description, files: String::new(), image: image.clone() });
        assert_eq!(values::first_output(&outputs(&image)).unwrap().as_str(), Some(image.as_str()));
    }
}
