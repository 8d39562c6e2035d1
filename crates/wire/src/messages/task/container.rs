//! Tasks whose container starts a program of its own (`raw-container`): how files stand for their inputs and outputs.
//!
//! Every input is a file or a directory below the directory of inputs, and all of them stand together in `inputs.pb` and in the format that is asked for.
//! Every output is a file, or a directory, with its name below the directory of outputs; a file `_ERROR` there is the failure of the task.

use spanwise_proto::flyteidl2::core::{
    Container, DataLoadingConfig, TaskTemplate, TypedInterface, data_loading_config::FileInputLayout,
    data_loading_config::LiteralMapFormat,
};

use super::CONTAINER;
use crate::shown;

mod inputs;
mod outputs;
mod span;
#[cfg(test)]
mod tests;

pub use inputs::{BadInput, Entry};
pub use outputs::{BadOutput, Collected, Kind, Output};

/// Where inputs and outputs are unless the task says otherwise.
const INPUTS: &str = "/var/inputs";
const OUTPUTS: &str = "/var/outputs";

/// The file by which a program says why it has failed.
pub const ERROR_FILE: &str = "_ERROR";

/// What a task says about its container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerTask {
    /// What it starts in the place of the image's entry point; empty for that.
    pub command: Vec<String>,
    /// The arguments, with placeholders in them.
    pub arguments: Vec<String>,
    /// Where inputs are seen.
    pub inputs: String,
    /// Where outputs are looked for.
    pub outputs: String,
    /// The inputs and outputs are files: a task may do without.
    pub has_files: bool,
    format: Format,
    /// Files have the names that they have elsewhere, in a directory of their own.
    is_named: bool,
    interface: TypedInterface,
}

/// The form in which all inputs stand together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Json,
    Yaml,
    Proto,
}

impl ContainerTask {
    /// What a task says about its container; none if it is of another type.
    pub(super) fn of(template: &TaskTemplate, container: &Container) -> Option<ContainerTask> {
        if template.r#type != CONTAINER {
            return None;
        }
        let config: &DataLoadingConfig = &container.data_config;
        let or = |path: &String, default: &str| if path.is_empty() { default.to_owned() } else { path.clone() };
        Some(ContainerTask {
            command: container.command.clone(),
            arguments: container.args.clone(),
            inputs: or(&config.input_path, INPUTS),
            outputs: or(&config.output_path, OUTPUTS),
            has_files: config.enabled,
            format: match config.format.as_known() {
                Some(LiteralMapFormat::YAML) => Format::Yaml,
                Some(LiteralMapFormat::PROTO) => Format::Proto,
                Some(LiteralMapFormat::JSON) | None => Format::Json,
            },
            is_named: config.file_input_layout.as_known() == Some(FileInputLayout::NAMED_DIR),
            interface: template.interface.as_option().cloned().unwrap_or_default(),
        })
    }

    /// Why no container can be run for it, and what to do; none if one can.
    pub(super) fn refusal(&self) -> Option<String> {
        for (field, path) in [("input_data_dir", &self.inputs), ("output_data_dir", &self.outputs)] {
            let is_path = path.starts_with('/') && path.split('/').all(|part| part != "." && part != "..");
            if !is_path || path.trim_matches('/').is_empty() || path.contains('\0') {
                return Some(format!("{field} `{}` is not the path of a directory below `/`", shown(path)));
            }
        }
        if self.inputs.trim_end_matches('/') == self.outputs.trim_end_matches('/') {
            return Some(format!("input_data_dir and output_data_dir are both `{}`", shown(&self.inputs)));
        }
        let variables = self.interface.inputs.variables.iter().chain(&self.interface.outputs.variables);
        if let Some(variable) = variables.map(|variable| &variable.key).find(|name| !is_file_name(name)) {
            return Some(format!(
                "`{}` cannot be the name of a file, which every input and every output has",
                shown(variable)
            ));
        }
        self.unsupported_output().map(|name| {
            format!(
                "output `{}` is of a type that no file can hold: use a number, a text, a File or a Dir",
                shown(&name)
            )
        })
    }
}

/// Whether a name stands for one file in a directory.
fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= 240 && !name.contains(['/', '\0'])
}
