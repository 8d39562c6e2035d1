//! Environments for images, with a real interpreter and the real index.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spanwise_process::Hidden;
use spanwise_process::environments::{Base, Build, Environment, Environments, Error, ImageKey, Plan};
use spanwise_proto::flyteidl2::imagebuilder::{ImageSpec, Layer, PipOptions, PipPackages, layer::Layer as Kind};
use spanwise_server::image_plan::{ImagePlan, SDK};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::python;

const IMAGE: &str = "team/flyte:0123456789abcdef0123456789abcdef";

struct Place {
    folder: TempDir,
    environments: Environments,
}

impl Place {
    async fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let environments = open(folder.path()).await;
        Place { folder, environments }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn left(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("made")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    async fn ensure(&self, plan: &Plan, fresh: bool) -> Result<Arc<Environment>, Error> {
        let build = Build {
            image: IMAGE,
            key: &ImageKey::of(IMAGE).unwrap(),
            plan,
            context: None,
            env: std::env::vars().collect::<HashMap<_, _>>().into_iter().collect(),
            log: &self.folder.path().join("log"),
            fresh,
            built_by: None,
            hidden: &Hidden::default(),
            started: &|_| {},
        };
        self.environments.ensure(&build).await
    }
}

async fn open(folder: &Path) -> Environments {
    let base = Base::probe(&python::with_flyte(), &SDK).await;
    assert_eq!(base.problem(), None);
    Environments::open(folder.join("made"), base, Duration::from_secs(5), TaskTracker::new())
}

fn plan(package: &str, index: &str) -> Plan {
    let options = PipOptions { index_url: index.to_owned(), ..PipOptions::default() };
    let layer = PipPackages { packages: vec![package.to_owned()], options: options.into(), ..PipPackages::default() };
    let layer = Layer { layer: Some(Kind::PipPackages(layer.into())), ..Layer::default() };
    ImagePlan::of(&ImageSpec { layers: vec![layer], ..ImageSpec::default() }).unwrap().plan
}

#[tokio::test]
async fn an_environment_is_made_once_and_found_by_the_next_server() {
    let place = Place::new().await;
    let plan = plan("iniconfig", "");
    let (one, other) = tokio::join!(place.ensure(&plan, false), place.ensure(&plan, false));
    let made = one.unwrap();
    assert_eq!(made, other.unwrap());
    assert!(place.log().contains("waiting for it"), "{}", place.log());
    let output = std::process::Command::new(made.bin.join("python"))
        .args(["-c", "import flyte, iniconfig; print(iniconfig.__file__)"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(made.bin.parent().unwrap().to_str().unwrap()), "{said}");
    assert!(made.bin.join("a0").exists());

    // What a build that was cut off has left is removed by the next server, what is complete is not.
    let unfinished = place.folder.path().join("made/fedcba9876543210fedcba9876543210-x");
    std::fs::create_dir_all(unfinished.join("lib")).unwrap();
    let next = open(place.folder.path()).await;
    assert!(!unfinished.exists());
    assert_eq!(*next.find(&ImageKey::of(IMAGE).unwrap()).unwrap(), *made);

    let fresh = place.ensure(&plan, true).await.unwrap();
    assert_ne!(fresh.bin, made.bin);
    assert!(made.bin.exists(), "tasks may be running in it");
}

#[tokio::test]
async fn a_build_that_fails_leaves_nothing_and_shows_the_installers_words() {
    let place = Place::new().await;
    for _ in 0..2 {
        let error = place.ensure(&plan("spanwise-there-is-no-such-package", ""), false).await.unwrap_err();
        assert!(error.to_string().contains("spanwise-there-is-no-such-package"), "{error}");
        assert_eq!(place.left(), [""; 0]);
    }
    place.ensure(&plan("iniconfig", ""), false).await.unwrap();
    assert_eq!(place.left().len(), 2);
}

#[tokio::test]
async fn a_build_that_is_dropped_stops_its_installer_and_leaves_nothing() {
    let place = Place::new().await;
    // It takes connections and never answers.
    let index = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan("iniconfig", &format!("http://{}/", index.local_addr().unwrap()));
    let is_installing = async {
        while !place.log().contains("Looking in indexes") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        made = place.ensure(&plan, false) => panic!("{made:?}"),
        () = is_installing => {}
    }
    let gone = async {
        while !place.left().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}

#[tokio::test]
async fn an_interpreter_without_the_sdk_is_known_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(python::with_flyte())
        .args(["-m", "venv", "--without-pip"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    let base = Base::probe(&folder.path().join("bin/python"), &SDK).await;
    // An environment can stand in for it.
    assert_eq!(base.problem(), None);
    let lacks = base.lacks_sdk().unwrap();
    assert!(lacks.contains("-m pip install flyte"), "{lacks}");
    assert_eq!((base.unusable(), base.warning()), (Some(lacks.clone()), Some(lacks)));
    assert!(Base::probe(Path::new("/nowhere/python"), &SDK).await.problem().is_some());
}
