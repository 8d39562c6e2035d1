//! Container images as a base and layers, with the content hash and the URI that stock Flyte gives them (`_image.py`).

use std::fmt::Write;

use crate::digest::md5_hex;

/// What the default image of the Flyte release that this crate equals is built for.
const FLYTE_VERSION: &str = "2.12.1";
const DEFAULT_REGISTRY: &str = "ghcr.io/flyteorg";
const DEFAULT_NAME: &str = "flyte";

/// A description of a container image. Each `with_` method adds a layer on top.
///
/// Two images with the same base and the same layers in the same order have the same [`Image::content_hash`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    base: Base,
    registry: Option<String>,
    name: Option<String>,
    layers: Vec<Layer>,
    changed: bool,
}

/// One layer of an [`Image`], as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// Python packages in the syntax of pip.
    Pip(PipPackages),
    /// Debian packages.
    Apt(Vec<String>),
    /// Environment variables in the order in which they were given; the order is part of the hash.
    Env(Vec<(String, String)>),
    /// Shell commands, each run while the image is built.
    Commands(Vec<String>),
    /// The working directory from here on.
    WorkDir(String),
}

/// Python packages and the options of their installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipPackages {
    /// Requirements such as `pandas==2.2`.
    pub packages: Vec<String>,
    /// Replaces the default package index.
    pub index_url: Option<String>,
    /// Indexes besides the default one.
    pub extra_index_urls: Vec<String>,
    /// Whether versions before a release count.
    pub pre: bool,
    /// More arguments for the installer.
    pub extra_args: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    Uri(String),
    Debian { python: (u8, u8), flyte: String },
}

/// Why an image has no URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Layers or a registry were added to an image that has no name.
    #[error("image based on `{base}` has layers but no name: add `.name(..)`")]
    Unnamed {
        /// The URI of the base.
        base: String,
    },
}

impl Image {
    /// Flyte's own image on Debian with Python 3.12 and Flyte 2.12.1; it is public and is not built.
    ///
    /// Stock Flyte takes the versions of Python and Flyte from the process that describes the image, so a Python program gets the
    /// same URI only if it runs these versions; see [`Image::python_version`] and [`Image::flyte_version`].
    pub fn from_debian_base() -> Self {
        let debian = Base::Debian { python: (3, 12), flyte: FLYTE_VERSION.to_owned() };
        Self { name: Some(DEFAULT_NAME.to_owned()), ..Self::new(debian) }
    }

    /// An image that exists already. It needs a [`Image::name`] before its layers have a URI.
    pub fn from_base(uri: impl Into<String>) -> Self {
        Self::new(Base::Uri(uri.into()))
    }

    fn new(base: Base) -> Self {
        Self { base, registry: None, name: None, layers: Vec::new(), changed: false }
    }

    /// The version of Python in the Debian base; without effect on other bases.
    #[must_use]
    pub fn python_version(mut self, major: u8, minor: u8) -> Self {
        if let Base::Debian { python, .. } = &mut self.base {
            *python = (major, minor);
        }
        self
    }

    /// The version of Flyte in the Debian base, with or without `v`; without effect on other bases.
    #[must_use]
    pub fn flyte_version(mut self, version: impl Into<String>) -> Self {
        if let Base::Debian { flyte, .. } = &mut self.base {
            *flyte = version.into();
        }
        self
    }

    /// The name of the image that is built.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self.changed = true;
        self
    }

    /// The registry that the image is pushed to.
    #[must_use]
    pub fn registry(mut self, registry: impl Into<String>) -> Self {
        self.registry = Some(registry.into());
        self.changed = true;
        self
    }

    /// Adds Python packages from the default index.
    #[must_use]
    pub fn with_pip_packages(self, packages: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_pip(PipPackages { packages: texts(packages), ..PipPackages::default() })
    }

    /// Adds Python packages with options.
    #[must_use]
    pub fn with_pip(self, packages: PipPackages) -> Self {
        self.with_layer(Layer::Pip(packages))
    }

    /// Adds Debian packages.
    #[must_use]
    pub fn with_apt_packages(self, packages: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_layer(Layer::Apt(texts(packages)))
    }

    /// Sets environment variables.
    #[must_use]
    pub fn with_env_vars(self, variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.with_layer(Layer::Env(variables))
    }

    /// Runs shell commands.
    #[must_use]
    pub fn with_commands(self, commands: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_layer(Layer::Commands(texts(commands)))
    }

    /// Sets the working directory.
    #[must_use]
    pub fn with_workdir(self, path: impl Into<String>) -> Self {
        self.with_layer(Layer::WorkDir(path.into()))
    }

    fn with_layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self.changed = true;
        self
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The URI of the base.
    pub fn base_uri(&self) -> String {
        match &self.base {
            Base::Uri(uri) => uri.clone(),
            Base::Debian { python, flyte } => {
                let flyte = flyte.strip_prefix('v').unwrap_or(flyte);
                let (major, minor) = python;
                format!("{DEFAULT_REGISTRY}/{DEFAULT_NAME}:py{major}.{minor}-v{flyte}")
            }
        }
    }

    /// The MD5 of the base and the layers in hex. Name and registry are not part of it.
    pub fn content_hash(&self) -> String {
        let mut content = self.base_uri();
        for layer in &self.layers {
            layer.write_content(&mut content);
        }
        md5_hex(content.as_bytes())
    }

    /// The base itself if nothing was added to it; else `registry/name:content hash`, or `name:content hash`.
    ///
    /// # Errors
    ///
    /// [`Error::Unnamed`] if something was added but the image has no name.
    pub fn uri(&self) -> Result<String, Error> {
        if !self.changed {
            return Ok(self.base_uri());
        }
        let hash = self.content_hash();
        match (&self.registry, &self.name) {
            (_, None) => Err(Error::Unnamed { base: self.base_uri() }),
            (None, Some(name)) => Ok(format!("{name}:{hash}")),
            (Some(registry), Some(name)) => Ok(format!("{registry}/{name}:{hash}")),
        }
    }
}

impl Layer {
    /// The text of a layer in the hash; `update_hash` of each layer class.
    fn write_content(&self, out: &mut String) {
        match self {
            Self::Pip(pip) => pip.write_content(out),
            Self::Apt(parts) | Self::Commands(parts) => out.extend(parts.iter().map(String::as_str)),
            Self::Env(variables) => {
                for (index, (name, value)) in variables.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(out, "{space}{name}={value}").expect("writing to a string cannot fail");
                }
            }
            Self::WorkDir(path) => out.push_str(path),
        }
    }
}

impl PipPackages {
    fn write_content(&self, out: &mut String) {
        out.push_str(self.index_url.as_deref().unwrap_or_default());
        out.extend(self.extra_index_urls.iter().map(String::as_str));
        out.push_str(if self.pre { "True" } else { "" });
        out.push_str(self.extra_args.as_deref().unwrap_or_default());
        out.extend(self.packages.iter().map(String::as_str));
    }
}

fn texts(items: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}
