//! Apps as the SDK sends them.

use spanwise_proto::flyteidl2::app::{
    AutoscalingConfig, IngressConfig, Meta, Replicas, RequestRate, ScalingMetric, SecurityContext, TimeoutConfig,
};
use spanwise_proto::flyteidl2::core::{Container, ContainerPort, ExtendedResources, GPUAccelerator, Identity, K8sPod};
use spanwise_proto::google::protobuf;

use super::*;

fn seconds(seconds: i64) -> protobuf::Duration {
    protobuf::Duration { seconds, ..protobuf::Duration::default() }
}

fn container() -> Container {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let port = ContainerPort { container_port: 9000, name: "h2c".to_owned(), ..ContainerPort::default() };
    Container {
        image: "team/web:1".to_owned(),
        command: words(&["fserve", "--"]),
        args: words(&["serve"]),
        ports: vec![port],
        ..Container::default()
    }
}

fn app(spec: Spec) -> App {
    let id = Identifier {
        project: "p".to_owned(),
        domain: "d".to_owned(),
        name: "web-1".to_owned(),
        ..Identifier::default()
    };
    let metadata = Meta { id: id.into(), revision: 3, ..Meta::default() };
    let spec = match spec.app_payload {
        None => Spec { app_payload: Some(container().into()), ..spec },
        Some(_) => spec,
    };
    App { metadata: metadata.into(), spec: spec.into(), ..App::default() }
}

fn read(spec: Spec) -> Result<AppDefinition, Invalid> {
    AppDefinition::of(app(spec))
}

#[test]
fn a_definition_is_stored_as_it_was_sent_and_read_again() {
    let scaling = AutoscalingConfig {
        replicas: Replicas { min: 0, max: 1, ..Replicas::default() }.into(),
        scaledown_period: seconds(30).into(),
        ..AutoscalingConfig::default()
    };
    let timeouts = TimeoutConfig { request_timeout: seconds(5).into(), ..TimeoutConfig::default() };
    let ingress = IngressConfig {
        subdomain: "shop".to_owned(),
        cname: "Shop.Example.com".to_owned(),
        ..IngressConfig::default()
    };
    let spec =
        Spec { autoscaling: scaling.into(), timeouts: timeouts.into(), ingress: ingress.into(), ..Spec::default() };
    let sent = read(spec).unwrap();
    assert_eq!((sent.id.org.as_str(), sent.id.name.as_str(), sent.seen), ("local", "web-1", 3));
    assert_eq!((sent.port, sent.speaks_http2, sent.desired), (9000, true, Desired::Started));
    assert_eq!(sent.scaling, Scaling { is_always_on: false, idle_after: Duration::from_secs(30) });
    assert_eq!(sent.request_timeout, Some(Duration::from_secs(5)));
    assert_eq!((sent.subdomain.as_str(), sent.cname.as_str()), ("shop", "shop.example.com"));
    assert_eq!(sent.program.argv, ["fserve", "--", "serve"]);
    assert!(sent.not_honoured().is_empty(), "{:?}", sent.not_honoured());
    let again = AppDefinition::read(sent.stored.body.clone()).unwrap();
    assert_eq!((again.id, again.process, again.seen), (sent.id.clone(), sent.process.clone(), 0));
    let stopped = sent.desiring(Desired::Stopped).unwrap();
    assert_eq!((stopped.desired, stopped.process), (Desired::Stopped, sent.process));
}

#[test]
fn what_makes_no_sense_is_refused_by_its_name() {
    let with_port = |number| Container {
        ports: vec![ContainerPort { container_port: number, ..ContainerPort::default() }],
        ..container()
    };
    let ingress = |subdomain: &str, cname: &str| {
        let ingress =
            IngressConfig { subdomain: subdomain.to_owned(), cname: cname.to_owned(), ..IngressConfig::default() };
        Spec { ingress: ingress.into(), ..Spec::default() }
    };
    let timeouts = TimeoutConfig { request_timeout: seconds(3601).into(), ..TimeoutConfig::default() };
    for (spec, named) in [
        (Spec { app_payload: Some(K8sPod::default().into()), ..Spec::default() }, "spec.pod"),
        (Spec { app_payload: Some(Container::default().into()), ..Spec::default() }, "spec.container.command"),
        (Spec { app_payload: Some(with_port(70_000).into()), ..Spec::default() }, "spec.container.ports"),
        (ingress("a.b", ""), "spec.ingress.subdomain"),
        (ingress("", "a..b"), "spec.ingress.cname"),
        (Spec { timeouts: timeouts.into(), ..Spec::default() }, "spec.timeouts.request_timeout"),
    ] {
        let refused = read(spec).unwrap_err().to_string();
        assert!(refused.contains(named), "{named}: {refused}");
    }
    let mut unnamed = app(Spec::default());
    for name in ["", "Web", "-a", "a-", "a.b", "a_b", &"a".repeat(64)] {
        unnamed.metadata.get_or_insert_default().id.get_or_insert_default().name = name.to_owned();
        assert!(AppDefinition::of(unnamed.clone()).unwrap_err().to_string().contains("app name"), "{name}");
    }
    assert!(AppDefinition::of(App::default()).unwrap_err().to_string().contains("app.metadata"));
}

#[test]
fn what_is_not_honoured_is_told_by_its_name() {
    let scaling = AutoscalingConfig {
        replicas: Replicas { min: 1, max: 3, ..Replicas::default() }.into(),
        scaling_metric: ScalingMetric {
            metric: Some(RequestRate { target_value: 3, ..RequestRate::default() }.into()),
            ..ScalingMetric::default()
        }
        .into(),
        ..AutoscalingConfig::default()
    };
    let resources =
        ExtendedResources { gpu_accelerator: GPUAccelerator::default().into(), ..ExtendedResources::default() };
    let definition = read(Spec {
        autoscaling: scaling.into(),
        cluster_pool: "gpus".to_owned(),
        cluster: "one".to_owned(),
        ingress: IngressConfig { private: true, ..IngressConfig::default() }.into(),
        extended_resources: resources.into(),
        security_context: SecurityContext { run_as: Identity::default().into(), ..SecurityContext::default() }.into(),
        ..Spec::default()
    })
    .unwrap();
    assert!(definition.scaling.is_always_on);
    let text = definition.not_honoured().join("\n");
    for name in
        ["replicas above 1", "scaling_metric", "cluster_pool", "cluster is", "private", "service_account", "gpu"]
    {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn the_sdk_finds_an_app_that_is_scaled_to_zero_active_and_one_that_is_stopped_not() {
    let names = [
        (Phase::Stopped, "STOPPED"),
        (Phase::Stopping, "SCALING_DOWN"),
        (Phase::Deploying, "DEPLOYING"),
        (Phase::Active, "ACTIVE"),
        (Phase::ScaledToZero, "ACTIVE"),
        (Phase::Waking, "SCALING_UP"),
        (Phase::Restarting, "PENDING"),
        (Phase::Failed, "FAILED"),
    ];
    for (phase, name) in names {
        assert_eq!(status_name(phase), format!("DEPLOYMENT_STATUS_{name}"));
    }
    let definition = read(Spec::default()).unwrap();
    let state = AppState {
        revision: 4,
        created_at: Timestamp(1_000_000),
        changed_at: Timestamp(2_000_000),
        phase: Phase::Failed,
        since: Timestamp(3_000_000),
        message: "exit code 1".to_owned(),
        is_running: false,
        started_at: None,
        url: "http://localhost:1/apps/p/d/web-1".to_owned(),
        host_url: "http://web-1-p-d.localhost:1".to_owned(),
    };
    let app = definition.to_message(&state);
    assert_eq!((app.metadata.revision, app.status.ingress.public_url.as_str()), (4, state.url.as_str()));
    let condition = &app.status.conditions[0];
    assert_eq!((condition.message.as_str(), condition.revision), ("exit code 1", 4));
    assert!(app.spec.creator.is_set(), "the SDK compares what it sends with what is there");
}
