//! What Flyte's messages say of a trigger, and what is refused.

use spanwise_proto::flyteidl2::common::{OffloadedInputData, TriggerName};
use spanwise_proto::flyteidl2::core::{KeyValuePair, TaskTemplate, TypedInterface, VariableEntry, VariableMap};
use spanwise_proto::flyteidl2::task::{
    Cron, FixedRate, Labels, NamedParameter, RunSpec, Schedule as WireSchedule, TaskSpec,
};

use super::*;

fn scheduled(expression: schedule::Expression) -> TriggerAutomationSpec {
    let schedule = WireSchedule {
        expression: Some(expression),
        kickoff_time_input_arg: "at".to_owned(),
        ..WireSchedule::default()
    };
    TriggerAutomationSpec {
        r#type: TriggerAutomationSpecType::TYPE_SCHEDULE.into(),
        automation: Some(schedule.into()),
        ..TriggerAutomationSpec::default()
    }
}

fn daily() -> TriggerAutomationSpec {
    let cron = Cron { expression: "0 9 * * *".to_owned(), timezone: "Asia/Tokyo".to_owned(), ..Cron::default() };
    scheduled(cron.into())
}

fn with_context(pairs: &[(&str, &str)], literals: Vec<NamedLiteral>) -> TriggerDefinition {
    let pair = |(key, value): &(&str, &str)| KeyValuePair {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        ..KeyValuePair::default()
    };
    let inputs = Inputs { literals, context: pairs.iter().map(pair).collect(), ..Inputs::default() };
    let spec = TriggerSpec { input_wrapper: Some(inputs.into()), ..TriggerSpec::default() };
    TriggerDefinition::of(spec, daily()).unwrap()
}

#[test]
fn s11_3_automations_are_read_with_their_units() {
    let read = |spec: TriggerAutomationSpec| automation(&spec).map_err(|error| error.to_string());
    let cron =
        |expression: &str, zone: &str| Automation::Cron { expression: expression.to_owned(), zone: zone.to_owned() };
    assert_eq!(read(daily()), Ok(cron("0 9 * * *", "Asia/Tokyo")));
    assert_eq!(read(scheduled(schedule::Expression::CronExpression("@daily".to_owned()))), Ok(cron("@daily", "")));
    assert_eq!(read(TriggerAutomationSpec::default()), Ok(Automation::OnDemand));
    for (unit, seconds) in [
        (FixedRateUnit::FIXED_RATE_UNIT_MINUTE, 120),
        (FixedRateUnit::FIXED_RATE_UNIT_HOUR, 7200),
        (FixedRateUnit::FIXED_RATE_UNIT_DAY, 172_800),
    ] {
        let start_time = times::timestamp(Timestamp(5)).into();
        let rate = FixedRate { value: 2, unit: unit.into(), start_time, ..FixedRate::default() };
        let every = Duration::from_secs(seconds);
        assert_eq!(read(scheduled(rate.into())), Ok(Automation::Rate { every, start: Some(Timestamp(5)) }));
    }
    let refused = |spec| read(spec).unwrap_err();
    let without_unit = FixedRate { value: 2, ..FixedRate::default() };
    assert!(refused(scheduled(without_unit.into())).contains("rate.unit"));
    let nothing = FixedRate { unit: FixedRateUnit::FIXED_RATE_UNIT_DAY.into(), ..FixedRate::default() };
    assert!(refused(scheduled(nothing.into())).contains("rate.value"));
    let of_type = |kind: TriggerAutomationSpecType| TriggerAutomationSpec { r#type: kind.into(), ..Default::default() };
    assert!(refused(of_type(TriggerAutomationSpecType::TYPE_ARTIFACT)).contains("automation_spec.artifact"));
    assert!(
        refused(of_type(TriggerAutomationSpecType::TYPE_SCHEDULE)).contains("`automation_spec.schedule` is missing")
    );
    let unknown = TriggerAutomationSpec { r#type: spanwise_proto::EnumValue::from(9), ..Default::default() };
    assert!(refused(unknown).contains("9 is not known"));
}

#[test]
fn s1_8_a_trace_that_all_runs_would_share_is_left_out_and_said() {
    let trigger = with_context(&[("team", "a"), (TRACEPARENT, "00-x"), (TRACESTATE, "s")], Vec::new());
    assert!(trigger.warnings().concat().contains("`traceparent`"));
    assert_eq!(trigger.inputs().context.pairs(), [("team".to_owned(), "a".to_owned())]);
    let read = TriggerDefinition::read(trigger.stored.body.clone()).unwrap();
    assert_eq!((&read.stored, read.inputs()), (&trigger.stored, trigger.inputs()));
    assert_eq!(with_context(&[("team", "a")], Vec::new()).warnings(), [""; 0]);
}

#[test]
fn s11_4_the_time_of_the_slot_is_an_input_unless_another_was_given() {
    let value = || NamedLiteral::new("at", Literal::datetime(1, 0));
    let slot = Timestamp(9_000_000);
    let at =
        |inputs: &TaskInputs| inputs.values().literals.iter().map(|one| one.value.as_datetime()).collect::<Vec<_>>();
    for (context, literals, times) in [
        (&[][..], vec![], vec![Some((9, 0))]),
        (&[(KICKOFF, "at")], vec![], vec![Some((9, 0))]),
        (&[(KICKOFF, "at")], vec![value()], vec![Some((9, 0))]),
        // Whoever gives a value takes the mark away.
        (&[], vec![value()], vec![Some((1, 0))]),
    ] {
        let trigger = with_context(context, literals);
        let inputs = trigger.at_time(trigger.inputs(), slot);
        assert_eq!(at(&inputs), times, "{context:?}");
        // Or the SDK would put the time of a run that repeats this one there.
        assert!(inputs.context.pairs().is_empty(), "{context:?}");
    }
}

#[test]
fn s11_10_inputs_that_the_task_does_not_have_and_those_that_are_missing_are_named() {
    let variable = |key: &str| VariableEntry { key: key.to_owned(), ..VariableEntry::default() };
    let inputs =
        VariableMap { variables: vec![variable("at"), variable("x"), variable("y")], ..VariableMap::default() };
    let interface = TypedInterface { inputs: inputs.into(), ..TypedInterface::default() };
    let template = TaskTemplate { interface: interface.into(), ..TaskTemplate::default() };
    let default = NamedParameter { name: "y".to_owned(), ..NamedParameter::default() };
    let spec = TaskSpec { task_template: template.into(), default_inputs: vec![default], ..TaskSpec::default() };
    let task = TaskDefinition::of(spec).unwrap();
    let check = |names: &[&str]| {
        let literals = names.iter().map(|name| NamedLiteral::new(*name, Literal::integer(1))).collect();
        with_context(&[(KICKOFF, "at")], literals).check_inputs(&task).map_err(|error| error.to_string())
    };
    assert_eq!((check(&["x"]), check(&["x", "y"])), (Ok(()), Ok(())));
    assert!(check(&[]).unwrap_err().contains("`x` of task `` is missing"));
    assert!(check(&["x", "z"]).unwrap_err().contains("has no input `z`"));
}

#[test]
fn uploaded_inputs_are_put_into_what_is_stored() {
    let data = OffloadedInputData { uri: "s3://b/inputs.pb".to_owned(), ..OffloadedInputData::default() };
    let spec = TriggerSpec { input_wrapper: Some(data.into()), active: true, ..TriggerSpec::default() };
    let uploaded = TriggerDefinition::of(spec, daily()).unwrap();
    assert_eq!(uploaded.inputs_uri(), Some("s3://b/inputs.pb"));
    let inputs = with_context(&[("team", "a")], vec![NamedLiteral::new("x", Literal::integer(7))]).inputs();
    let (digest, whole) = (uploaded.stored.digest.clone(), uploaded.with_inputs(inputs.clone()));
    assert_eq!((whole.inputs_uri(), whole.inputs()), (None, inputs));
    assert!(whole.active && whole.stored.digest != digest);
}

#[test]
fn s11_6_labels_say_what_becomes_of_slots() {
    let labelled = |pairs: &[(&str, &str)]| {
        let values = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let labels = Labels { values, ..Labels::default() };
        let run_spec = RunSpec { labels: labels.into(), ..RunSpec::default() };
        let spec = TriggerSpec { run_spec: run_spec.into(), ..TriggerSpec::default() };
        let of_server = FiringRules { catch_up: CatchUp::Last, overlap: Overlap::Queue };
        let rules = TriggerDefinition::of(spec, daily()).unwrap().rules(of_server);
        rules.map(|rules| format!("{} {}", rules.catch_up, rules.overlap)).map_err(|error| error.to_string())
    };
    assert_eq!(labelled(&[]), Ok("last queue".to_owned()));
    assert_eq!(labelled(&[(CATCH_UP_LABEL, "none"), (OVERLAP_LABEL, "skip")]), Ok("none skip".to_owned()));
    assert_eq!(
        labelled(&[(OVERLAP_LABEL, "no")]).unwrap_err(),
        "run_spec.labels.spanwise.overlap: `no` is none of allow, skip and queue"
    );
}

#[test]
fn s11_4_a_slot_has_flytes_name() {
    let scope = Scope { org: "local".to_owned(), project: "flytesnacks".to_owned(), domain: "development".to_owned() };
    let id = ids::trigger_of_task(scope, "env.report", "daily").unwrap();
    let slot = Timestamp(1_774_746_000_000_000);
    assert_eq!(run_of_slot(&id, slot).unwrap().as_str(), SLOT_NAME);
    assert!(
        ids::trigger_of_task(id.scope.clone(), "env.report", "a\nb").unwrap_err().to_string().contains("trigger name")
    );
    assert!(ids::trigger_id(&TriggerName::default()).unwrap_err().to_string().contains("name.task_name"));
    assert_eq!(ids::trigger_id(&ids::to_trigger_name(&id)).unwrap(), id);
}

/// FNV-1 of `flytesnacks:development:env.report:daily:2026:3:29:1:0:0`, by hand.
const SLOT_NAME: &str = "rb624c3ec467a0376";
