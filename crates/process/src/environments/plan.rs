//! What is to be done for an image, as plain data.

/// What is to be done for an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The version of Python that it asks for, without the last number.
    pub python: Option<(u32, u32)>,
    /// The version of the SDK that it has; none: that of the interpreter that it is made from.
    pub sdk: Option<String>,
    /// What is installed and copied, in this order.
    pub steps: Vec<Step>,
    /// The variables that it sets.
    pub env: Vec<(String, String)>,
    /// What of it cannot be realised, one sentence each.
    pub warnings: Vec<String>,
}

/// One step. Paths are relative to the files that came with the image; options are arguments, which are the same for pip and uv.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Packages by name.
    Packages {
        /// Their names, with versions.
        packages: Vec<String>,
        /// How they are installed.
        options: Vec<String>,
    },
    /// Packages from a requirements file.
    Requirements {
        /// The file.
        file: String,
        /// How they are installed.
        options: Vec<String>,
    },
    /// A package as a file, with its dependencies from the index.
    PythonWheel {
        /// Where the file is.
        directory: String,
        /// The name of the package.
        package: String,
        /// How it is installed.
        options: Vec<String>,
    },
    /// A project with its lock file.
    UvProject {
        /// Where its `pyproject.toml` is.
        directory: String,
        /// Its lock file; empty if that lies beside it.
        lock: String,
        /// How it is installed.
        options: Vec<String>,
    },
    /// Files that tasks find in their working directory, and can import.
    Copy {
        /// Where they are.
        from: String,
        /// Where they go, relative to that directory.
        to: String,
    },
}
