//! Timers: tasks of the type `core-sleep`, whose only input says how long is waited. Nothing runs for them.

use std::time::Duration;

use spanwise_core::{Scope, Timeouts, Timestamp, Wake};
use spanwise_proto::flyteidl2::core::{
    Identifier, Literal, ResourceType, SimpleType, TaskMetadata, TaskTemplate, TypedInterface, VariableEntry,
};
use spanwise_proto::flyteidl2::task::{Inputs, TaskSpec};

use super::template;
use crate::{Invalid, policy, shown, values};

/// The type of tasks that only wait (Flyte's `flyte.extras.Sleep`).
pub const CORE_SLEEP: &str = "core-sleep";

/// What a timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerInput {
    /// A length of time.
    Length(Duration),
    /// A moment. Flyte's own plugin takes lengths only.
    Moment(Timestamp),
}

impl TimerInput {
    /// When the timer ends that is accepted now, by the machine's clock.
    pub fn wake(self, clock: Timestamp) -> Wake {
        match self {
            TimerInput::Length(length) => Wake::after(length, clock),
            TimerInput::Moment(moment) => Wake::at(moment),
        }
    }
}

/// What a task of the type [`CORE_SLEEP`] waits for.
///
/// # Errors
/// [`Invalid`] names the input, or says what is wrong with the task's interface.
pub fn timer_input(spec: &TaskSpec, inputs: &Inputs) -> Result<TimerInput, Invalid> {
    let interface = &template(spec)?.interface;
    if !interface.outputs.variables.is_empty() {
        return Err(refused("it gives no outputs"));
    }
    let [variable] = interface.inputs.variables.as_slice() else {
        let count = interface.inputs.variables.len();
        return Err(refused(&format!("it takes one input, a duration or a datetime, and not {count}")));
    };
    let name = shown(&variable.key);
    let given = inputs.literals.iter().find(|literal| literal.name == variable.key);
    let value = given.and_then(|given| given.value.as_option());
    let value = value.ok_or_else(|| refused(&format!("its input `{name}` is missing")))?;
    read(variable, value).map_err(|why| refused(&format!("its input `{name}` {why}")))
}

fn read(variable: &VariableEntry, value: &Literal) -> Result<TimerInput, String> {
    let not_of_type = || "has a value of another type".to_owned();
    match values::simple_type(&variable.value.r#type) {
        Some(SimpleType::DURATION) => {
            let (seconds, nanos) = value.as_duration().ok_or_else(not_of_type)?;
            let parts = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
            let (seconds, nanos) = parts.ok_or_else(|| "is negative: the shortest wait is 0".to_owned())?;
            Ok(TimerInput::Length(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into()))))
        }
        Some(SimpleType::DATETIME) => {
            let (seconds, nanos) = value.as_datetime().ok_or_else(not_of_type)?;
            let micros = seconds.saturating_mul(1_000_000).saturating_add(i64::from(nanos) / 1000);
            Ok(TimerInput::Moment(Timestamp(micros)))
        }
        _ => Err("is neither a duration nor a datetime".to_owned()),
    }
}

fn refused(why: &str) -> Invalid {
    Invalid::field(format!("a task of type `{CORE_SLEEP}` only waits: {why}"))
}

/// The definition of a timer that a program waits for by itself.
pub fn timer(scope: &Scope, (name, version): (&str, &str), interface: TypedInterface, timeouts: &Timeouts) -> TaskSpec {
    let id = Identifier {
        resource_type: ResourceType::TASK.into(),
        org: scope.org.clone(),
        project: scope.project.clone(),
        domain: scope.domain.clone(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..Identifier::default()
    };
    let mut metadata = TaskMetadata::default();
    policy::set(&mut metadata, &Default::default(), timeouts);
    let template = TaskTemplate {
        id: id.into(),
        r#type: CORE_SLEEP.to_owned(),
        metadata: metadata.into(),
        interface: interface.into(),
        ..TaskTemplate::default()
    };
    TaskSpec { task_template: template.into(), short_name: name.to_owned(), ..TaskSpec::default() }
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::core::LiteralType;
    use spanwise_proto::flyteidl2::task::NamedLiteral;

    use super::*;

    fn of(
        inputs: &[(&str, LiteralType)],
        outputs: &[(&str, LiteralType)],
        given: Vec<(&str, Literal)>,
    ) -> Result<TimerInput, String> {
        let interface = TypedInterface::new(inputs.to_vec(), outputs.to_vec());
        let scope = Scope { org: String::new(), project: "p".to_owned(), domain: "d".to_owned() };
        let spec = timer(&scope, ("naps.nap", "1"), interface, &Timeouts::default());
        let literals = given.into_iter().map(|(name, value)| NamedLiteral::new(name, value)).collect();
        timer_input(&spec, &Inputs::new(literals, Vec::new())).map_err(|error| error.to_string())
    }

    #[test]
    fn s17_a_timer_waits_for_a_duration_or_a_moment_whatever_its_input_is_called() {
        let length = |name, seconds, nanos| {
            of(&[(name, LiteralType::duration())], &[], vec![(name, Literal::duration(seconds, nanos))])
        };
        let ok = |seconds, nanos| Ok(TimerInput::Length(Duration::new(seconds, nanos)));
        assert_eq!(length("duration", 1, 500_000_000), ok(1, 500_000_000));
        assert_eq!(length("größe", 0, 0), ok(0, 0));
        assert_eq!(length("d", 999_999_999 * 86_400, 0), ok(999_999_999 * 86_400, 0));
        let moment = |seconds, nanos| {
            of(&[("until", LiteralType::datetime())], &[], vec![("until", Literal::datetime(seconds, nanos))])
        };
        assert_eq!(moment(7, 1000), Ok(TimerInput::Moment(Timestamp(7_000_001))));
        assert_eq!(moment(-7, 0), Ok(TimerInput::Moment(Timestamp(-7_000_000))));
        assert_eq!(moment(i64::MAX, 0), Ok(TimerInput::Moment(Timestamp(i64::MAX))));
        let now = Timestamp(5);
        assert_eq!(TimerInput::Length(Duration::from_micros(2)).wake(now), Wake::after(Duration::from_micros(2), now));
        assert_eq!(TimerInput::Moment(Timestamp(9)).wake(now), Wake::at(Timestamp(9)));
    }

    #[test]
    fn s17_what_is_no_wait_is_refused_by_the_name_of_its_input() {
        let duration = ("d", LiteralType::duration());
        let value = ("d", Literal::duration(1, 0));
        for (inputs, outputs, given, part) in [
            (vec![], vec![], vec![], "and not 0"),
            (vec![duration.clone(), ("e", LiteralType::duration())], vec![], vec![value.clone()], "and not 2"),
            (vec![duration.clone()], vec![("o0", LiteralType::integer())], vec![value.clone()], "no outputs"),
            (vec![duration.clone()], vec![], vec![], "`d` is missing"),
            (vec![duration.clone()], vec![], vec![("d", Literal::integer(1))], "`d` has a value of another type"),
            (vec![duration.clone()], vec![], vec![("d", Literal::duration(-1, 0))], "`d` is negative"),
            (vec![duration], vec![], vec![("d", Literal::duration(0, -1))], "`d` is negative"),
            (vec![("d", LiteralType::integer())], vec![], vec![("d", Literal::integer(1))], "neither a duration nor"),
        ] {
            let said = of(&inputs, &outputs, given).unwrap_err();
            assert!(said.contains(part) && said.contains("`core-sleep`"), "{part}: {said}");
        }
    }
}
