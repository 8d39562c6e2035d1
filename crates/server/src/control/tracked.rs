//! Tracked runs: what their programs report and upload (semantics S16).

use bytes::Bytes;
use spanwise_blobs::BlobUri;
use spanwise_core::tracked::ReportedPhase;
use spanwise_core::{ActionName, AttemptNo, RunId, RunName};
use spanwise_engine::{NewReport, Payloads, RunHandle, Scope};
use spanwise_wire::tracked::Update;
use spanwise_wire::{Invalid, TaskInputs, shown, values};

use super::{ControlPlane, Error, MAX_INPUTS};
use crate::definitions::to_store;
use crate::layout;

/// What was read of uploads for one request waits for the journal in memory, up to so many bytes.
const MAX_IN_MEMORY: usize = 32 << 20;

/// Under this root the stock SDK uploads what belongs to tracked runs.
const UPLOADS: &str = "tracked-runs/";

/// A tracked run as it is asked for, which is there already.
pub(super) struct Again {
    pub(super) id: RunId,
    /// The digest of what is asked of the run.
    pub(super) options: String,
    /// The digest of its root's definition.
    pub(super) task: String,
    pub(super) inputs: Bytes,
}

impl ControlPlane {
    /// The run that an earlier try of the same request has made: a program that did not hear the answer asks again. None if it is another one, or
    /// was reported on: then somebody else has it. The context may differ, for each try is a span of its caller's.
    pub(super) async fn created_before(&self, again: Again) -> Result<Option<RunHandle>, Error> {
        let run = self.run(&again.id)?;
        let settings = run.settings();
        let is_new = run.action(&ActionName::ROOT).is_some_and(|root| !root.was_reported() && !root.is_finished());
        let task = run.root_spec().and_then(|root| root.definition);
        let is_same = settings.tracked
            && is_new
            && settings.definition.as_deref() == Some(again.options.as_str())
            && task.as_deref() == Some(again.task.as_str());
        if !is_same {
            return Ok(None);
        }
        let inputs = run.payloads(&ActionName::ROOT).await?.0.unwrap_or_default();
        Ok(TaskInputs::read(&inputs)?.has_values_of(&TaskInputs::read(&again.inputs)?).then_some(run))
    }

    /// A tracked run by its name.
    pub(crate) fn tracked_run(&self, id: &RunId) -> Result<RunHandle, Error> {
        let run = self.run(id)?;
        match run.settings().tracked {
            true => Ok(run),
            false => Err(Error::NotFound(format!("run `{}` is not tracked: RunService has it", id.name))),
        }
    }

    /// Takes what the program of a run says, one answer for each. After `Ok` what was taken survives the process.
    pub(crate) async fn take_reports(
        &self,
        run: &RunHandle,
        updates: Vec<Result<Update, Invalid>>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        self.inner.readiness.check().await?;
        let mut answers = Vec::with_capacity(updates.len());
        let mut in_memory = 0;
        for update in updates {
            let answer = match update {
                Ok(update) => self.report_one(run, update).await,
                Err(invalid) => Err(invalid.into()),
            };
            match answer {
                // That is no matter of one of them, and a program makes a request again, but never one of its reports.
                Err(error) if is_of_server(&error) => return Err(error),
                Ok(size) => {
                    in_memory += size;
                    answers.push(Ok(()));
                }
                Err(error) => answers.push(Err(error)),
            }
            if in_memory > MAX_IN_MEMORY {
                run.committed().await?;
                in_memory = 0;
            }
        }
        run.committed().await?;
        Ok(answers)
    }

    /// Gives how many bytes wait for the journal because of it.
    async fn report_one(&self, run: &RunHandle, update: Update) -> Result<usize, Error> {
        let Update { action, spec, definition, report, not_kept } = update;
        if !not_kept.is_empty() {
            let fields = not_kept.join(", ");
            if self.inner.strict {
                return Err(Invalid::field(format!("{fields}: not kept of a tracked run")).into());
            }
            tracing::warn!(run = %run.id().name, %action, fields, "a report has fields that are not kept");
        }
        let is_new = spec.is_some() && run.action(&action).is_none();
        let inputs = match is_new {
            true => self.uploaded(run, &action, layout::inputs(run.id(), &action)?).await?,
            false => None,
        };
        let outputs = match report.phase {
            ReportedPhase::Succeeded => self.reported_outputs(run, &action, report.output_uri.as_deref()).await?,
            _ => None,
        };
        let definition = definition.filter(|_| is_new).map(to_store);
        let size = [&inputs, &outputs].into_iter().flatten().map(Bytes::len).sum();
        let payloads = Payloads { inputs, outputs };
        run.report(NewReport { action, spec, report, definition, payloads })?;
        Ok(size)
    }

    /// What a program says that it has delivered, if that is among its uploads. Whatever is elsewhere has its address alone.
    async fn reported_outputs(
        &self,
        run: &RunHandle,
        action: &ActionName,
        uri: Option<&str>,
    ) -> Result<Option<Bytes>, Error> {
        let uri = uri.and_then(|uri| uri.parse::<BlobUri>().ok());
        let own = layout::run_base(run.id())?;
        match uri.filter(|uri| uri.key().strip_prefix(own.key()).is_some_and(|rest| rest.starts_with('/'))) {
            Some(uri) => self.uploaded(run, action, uri).await,
            None => Ok(None),
        }
    }

    /// Values that were uploaded, for the journal, which shows them however long uploads are kept.
    async fn uploaded(&self, run: &RunHandle, action: &ActionName, uri: BlobUri) -> Result<Option<Bytes>, Error> {
        let found = match self.inner.blobs.get(&uri, MAX_INPUTS).await {
            Ok(found) => found,
            Err(error @ spanwise_blobs::Error::TooLarge { .. }) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(run = %run.id().name, %action, error, "an upload of a tracked run is shown by its address alone");
                None
            }
            Err(error) => return Err(error.into()),
        };
        // Inputs and outputs are lists of the same form: what is none would keep the action from being shown.
        let is_one = |values: &Bytes| values::inputs(values).is_ok() || values::outputs(values).is_ok();
        Ok(found.filter(is_one))
    }

    /// Where an upload of the program of a tracked run goes: where a run of the server would have put it. None for any other upload.
    pub(crate) fn tracked_upload(&self, scope: Scope, root: &str, filename: &str) -> Result<Option<BlobUri>, Error> {
        let Some(rest) = root.strip_prefix(UPLOADS) else { return Ok(None) };
        let (run, action, attempt) = upload_of(rest, filename)?;
        let id = scope.run(run);
        if let Some((_, row)) = self.inner.engine.run_row(&id)? {
            let refused = match (row.tracked, row.ended_at.is_some(), attempt.is_none() && action.is_root()) {
                (false, ..) => "is not tracked",
                (true, true, _) => "has ended",
                (true, false, true) => "has its inputs",
                (true, false, false) => "",
            };
            if !refused.is_empty() {
                return Err(Error::Unmet(format!("filename_root: run `{}` {refused}", id.name)));
            }
        }
        let directory = match attempt {
            Some(attempt) => layout::attempt(&id, &action, attempt)?,
            None => layout::run_base(&id)?.join(action.as_str())?,
        };
        Ok(Some(directory.join(filename)?))
    }
}

/// True for an error of the server's own, which passes.
fn is_of_server(error: &Error) -> bool {
    match error {
        Error::Engine(error) => !matches!(error, spanwise_engine::Error::Rejected(_)),
        Error::Blobs(_) | Error::NotReady(_) => true,
        _ => false,
    }
}

/// The run, the action and, of what an attempt delivers, the attempt that an upload is of.
fn upload_of(rest: &str, filename: &str) -> Result<(RunName, ActionName, Option<AttemptNo>), Invalid> {
    let no_root = || {
        let text = format!(
            "filename_root `{UPLOADS}{}`: of a tracked run it is {UPLOADS}<run>/<action>, with /<attempt> for outputs and reports",
            shown(rest)
        );
        Invalid::field(text)
    };
    let parts: Vec<&str> = rest.split('/').collect();
    let (run, action, attempt) = match parts[..] {
        [run, action] => (run, action, None),
        [run, action, attempt] => (run, action, Some(AttemptNo(attempt.parse().map_err(|_| no_root())?))),
        _ => return Err(no_root()),
    };
    let names: &[&str] = if attempt.is_some() { &["outputs.pb", "report.html"] } else { &["inputs.pb"] };
    if !names.contains(&filename) {
        let text = format!("filename `{}`: of a tracked run it is {} here", shown(filename), names.join(" or "));
        return Err(Invalid::field(text));
    }
    let run = RunName::new(run).map_err(|_| no_root())?;
    Ok((run, spanwise_wire::action_name(action).map_err(|_| no_root())?, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s16_an_upload_names_its_run_its_action_and_its_attempt() {
        let of = |rest: &str, filename: &str| {
            let (run, action, attempt) = upload_of(rest, filename).map_err(|error| error.to_string())?;
            Ok::<_, String>((run.to_string(), action.to_string(), attempt.map(|attempt| attempt.0)))
        };
        assert_eq!(of("local-1/a0", "inputs.pb"), Ok(("local-1".into(), "a0".into(), None)));
        assert_eq!(of("local-1/x/2", "report.html"), Ok(("local-1".into(), "x".into(), Some(2))));
        for (rest, filename, named) in [
            ("local-1", "inputs.pb", "filename_root"),
            ("", "inputs.pb", "filename_root"),
            ("../x", "inputs.pb", "filename_root"),
            ("r/../1", "outputs.pb", "filename_root"),
            ("r/a0/x", "outputs.pb", "filename_root"),
            ("r/a0/1/2", "outputs.pb", "filename_root"),
            ("r/a0/1", "inputs.pb", "filename `inputs.pb`: of a tracked run it is outputs.pb or report.html here"),
            ("r/a0", "outputs.pb", "filename `outputs.pb`"),
            ("r/a0/1", "error.pb", "filename `error.pb`"),
        ] {
            let refused = of(rest, filename).unwrap_err();
            assert!(refused.contains(named), "{rest} {filename}: {refused}");
        }
    }
}
