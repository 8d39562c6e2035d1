//! The settings of organisations, domains and projects, and what they give to a new run.

use spanwise_core::{RunDefaults, RunOptions, Scope};
use spanwise_engine::SettingsRow;
use spanwise_wire::Stored;
use spanwise_wire::settings::{self, Settings};

use super::clock::wall_clock;
use super::{ControlPlane, Error};

/// What settings give to a new run.
#[derive(Default)]
pub(super) struct Given {
    /// What the run and its tasks have where they say nothing.
    pub(super) defaults: RunDefaults,
    /// The form that is stored with the run, if they say anything.
    pub(super) stored: Option<Stored>,
    /// What they ask for and runs do not have, one sentence each.
    pub(super) not_honoured: Vec<String>,
}

impl ControlPlane {
    /// What the settings that concern a scope give to a run that is created in it now.
    pub(super) fn given_by_settings(&self, scope: &Scope) -> Result<Given, Error> {
        let effective = self.effective_settings(scope)?;
        let Some(stored) = settings::to_store(&effective) else { return Ok(Given::default()) };
        let not_honoured = settings::not_honoured(&effective);
        Ok(Given { defaults: settings::defaults_of(&effective)?, stored: Some(stored), not_honoured })
    }

    /// The settings that concern a scope, from those of its organisation to its own, as far as they are there.
    pub(crate) fn settings(&self, scope: &Scope) -> Result<Vec<SettingsRow>, Error> {
        Ok(self.inner.engine.settings_of(scope)?)
    }

    /// What the settings that concern a scope come to.
    pub(crate) fn effective_settings(&self, scope: &Scope) -> Result<Settings, Error> {
        let rows = self.settings(scope)?;
        Ok(settings::effective(rows.iter().map(|row| (&row.scope, &row.body)))?)
    }

    /// Stores the settings of a scope which follow a version; 0 is that of a scope that has none. The version that they are now.
    pub(crate) fn put_settings(&self, scope: &Scope, settings: Settings, follows: u64) -> Result<u64, Error> {
        let warnings = settings::not_honoured(&settings);
        let body = settings::checked(settings)?.body;
        // What a run would be refused for is refused here, before all of them are.
        let given = settings::defaults_of(&settings::effective([(scope, &body)])?)?;
        self.check_options(scope, &given.under(RunOptions::default()))?;
        let version = follows.saturating_add(1);
        let row = SettingsRow { scope: scope.clone(), version, body, changed_at: wall_clock() };
        if !self.inner.engine.put_settings(&row)? {
            return Err(self.conflict(scope, follows)?);
        }
        let Scope { org, project, domain } = scope;
        tracing::info!(org, domain, project, version, "settings have changed");
        for warning in warnings {
            tracing::warn!(org, domain, project, warning);
        }
        Ok(version)
    }

    /// Why settings cannot follow a version.
    fn conflict(&self, scope: &Scope, follows: u64) -> Result<Error, Error> {
        let there = self.settings(scope)?.into_iter().find(|row| row.scope == *scope);
        let named = named(scope);
        Ok(match (there, follows) {
            (Some(row), 0) => {
                Error::AlreadyExists(format!("{named} has settings already, in version {}: update them", row.version))
            }
            (None, _) => Error::NotFound(format!("{named} has no settings: create them")),
            (Some(row), _) => Error::Changed(format!(
                "the settings of {named} are in version {}, not {follows}: somebody has changed them meanwhile, read them again",
                row.version
            )),
        })
    }
}

/// A scope, for people.
fn named(scope: &Scope) -> String {
    match (scope.domain.as_str(), scope.project.as_str()) {
        ("", _) => format!("organisation `{}`", scope.org),
        (domain, "") => format!("domain `{domain}`"),
        (domain, project) => format!("project `{project}` in domain `{domain}`"),
    }
}
