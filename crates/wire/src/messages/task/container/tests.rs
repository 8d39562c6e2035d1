//! Inputs and outputs as files, by tables.

use serde_json::{Value as Json, json};
use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::core::{
    Blob, BlobMetadata, BlobType, Literal, LiteralMap, LiteralType, blob_type::BlobDimensionality,
};
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral};

use super::*;
use crate::{TaskInputs, values};

fn blob(uri: &str, dimensionality: BlobDimensionality) -> Literal {
    let kind = BlobType { dimensionality: dimensionality.into(), ..BlobType::default() };
    let metadata = BlobMetadata { r#type: kind.into(), ..BlobMetadata::default() };
    let blob = Blob { metadata: metadata.into(), uri: uri.to_owned(), ..Blob::default() };
    let scalar = spanwise_proto::flyteidl2::core::Scalar { value: Some(blob.into()), ..Default::default() };
    Literal { value: Some(scalar.into()), ..Literal::default() }
}

fn file(uri: &str) -> Literal {
    blob(uri, BlobDimensionality::SINGLE)
}

fn task(format: LiteralMapFormat, layout: FileInputLayout, outputs: Vec<(&str, LiteralType)>) -> ContainerTask {
    let data_config = DataLoadingConfig {
        enabled: true,
        format: format.into(),
        file_input_layout: layout.into(),
        ..DataLoadingConfig::default()
    };
    let container = Container { data_config: data_config.into(), ..Container::default() };
    let interface = TypedInterface::new(Vec::<(&str, LiteralType)>::new(), outputs);
    let template =
        TaskTemplate { r#type: CONTAINER.to_owned(), interface: interface.into(), ..TaskTemplate::default() };
    ContainerTask::of(&template, &container).unwrap()
}

fn first(collected: Collected) -> Literal {
    values::first_output(&collected.encode()).unwrap()
}

fn plain() -> ContainerTask {
    task(LiteralMapFormat::JSON, FileInputLayout::DIRECT, Vec::new())
}

fn inputs(literals: Vec<(&str, Literal)>) -> TaskInputs {
    let literals = literals.into_iter().map(|(name, literal)| NamedLiteral::new(name, literal)).collect();
    TaskInputs::read(&values::encode_inputs(&Inputs { literals, ..Inputs::default() })).unwrap()
}

/// The files by their paths, as texts; what is stored elsewhere by its URI.
fn paths(entries: &[Entry]) -> Vec<(String, String)> {
    let shown = |entry: &Entry| match entry {
        Entry::Directory(path) => (path.clone(), "/".to_owned()),
        Entry::File(path, content) => (path.clone(), String::from_utf8_lossy(content).into_owned()),
        Entry::Stored { path, uri, is_directory } => {
            (path.clone(), format!("{uri}{}", if *is_directory { "/" } else { "" }))
        }
    };
    entries.iter().filter(|entry| !matches!(entry, Entry::File(path, _) if path == "inputs.pb")).map(shown).collect()
}

#[test]
fn every_input_is_a_file_and_all_of_them_stand_together() {
    let given = inputs(vec![
        ("n", Literal::integer(-7)),
        ("f", Literal::float(1.0)),
        ("b", Literal::boolean(true)),
        ("s", Literal::string("größe\n\"x\"")),
        ("none", Literal::union(Literal::none(), LiteralType::none())),
        ("at", Literal::datetime(1_700_000_000, 0)),
        ("span", Literal::duration(90, 500_000_000)),
        ("list", Literal::list(vec![Literal::integer(1), Literal::string("")])),
        ("map", Literal::map([("k".to_owned(), Literal::string("v"))].into())),
        ("file", file("s3://b/x/genome.fasta")),
        ("dir", blob("s3://b/d", BlobDimensionality::MULTIPART)),
    ]);
    let entries = plain().entries(&given).unwrap();
    let all = json!({
        "n": -7, "f": 1.0, "b": true, "s": "größe\n\"x\"", "none": null, "at": "2023-11-14T22:13:20Z", "span": "90.5s",
        "list": [1, ""], "map": {"k": "v"}, "file": "/var/inputs/file", "dir": "/var/inputs/dir",
    });
    let expected = [
        ("n", "-7"),
        ("f", "1"),
        ("b", "true"),
        ("s", "größe\n\"x\""),
        ("none", ""),
        ("at", "2023-11-14T22:13:20Z"),
        ("span", "90.5s"),
        ("list", "/"),
        ("list/0", "1"),
        ("list/1", ""),
        ("map", "/"),
        ("map/k", "v"),
        ("file", "s3://b/x/genome.fasta"),
        ("dir", "s3://b/d/"),
    ];
    let found = paths(&entries);
    let (together, each) = found.split_last().unwrap();
    assert_eq!(each, expected.map(|(path, content)| (path.to_owned(), content.to_owned())));
    assert_eq!((together.0.as_str(), serde_json::from_str::<Json>(&together.1).unwrap()), ("inputs.json", all));
    let packed = entries.iter().find_map(|entry| match entry {
        Entry::File(path, content) if path == "inputs.pb" => Some(LiteralMap::decode_from_slice(content).unwrap()),
        _ => None,
    });
    assert_eq!(packed.unwrap().literals["file"].to_json(), json!("/var/inputs/file"));
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let given = inputs(vec![("s", Literal::string("a: b")), ("n", Literal::integer(1))]);
    let of = |format| paths(&task(format, FileInputLayout::DIRECT, Vec::new()).entries(&given).unwrap())[2..].to_vec();
    assert_eq!(of(LiteralMapFormat::YAML), [("inputs.yaml".to_owned(), "\"s\": \"a: b\"\n\"n\": 1\n".to_owned())]);
    assert_eq!(of(LiteralMapFormat::PROTO), []);
    assert_eq!(of(LiteralMapFormat::JSON)[0].0, "inputs.json");
    let empty = task(LiteralMapFormat::YAML, FileInputLayout::DIRECT, Vec::new()).entries(&inputs(Vec::new())).unwrap();
    assert_eq!(paths(&empty), [("inputs.yaml".to_owned(), "{}\n".to_owned())]);
}

#[test]
fn files_have_their_own_names_where_that_is_asked_for() {
    let reads =
        ["s3://b/1/r.fastq.gz", "s3://b/2/r.fastq.gz", "s3://b/3/t.fastq.gz", "s3://b/..", "s3://b/4/r.fastq.gz"];
    let given = inputs(vec![
        ("fasta", Literal::union(file("s3://b/genome.fasta"), LiteralType::string())),
        ("reads", Literal::list(reads.map(file).into())),
        ("dir", blob("s3://b/d", BlobDimensionality::MULTIPART)),
    ]);
    let named = |layout| -> Vec<String> {
        let entries = task(LiteralMapFormat::PROTO, layout, Vec::new()).entries(&given).unwrap();
        paths(&entries).into_iter().filter(|(_, content)| content != "/").map(|(path, _)| path).collect()
    };
    let expected = [
        "fasta/genome.fasta",
        "reads/r.fastq.gz",
        "reads/1_r.fastq.gz",
        "reads/t.fastq.gz",
        "reads/3",
        "reads/2_r.fastq.gz",
        "dir",
    ];
    assert_eq!(named(FileInputLayout::NAMED_DIR), expected);
    assert_eq!(named(FileInputLayout::DIRECT), ["fasta", "reads/0", "reads/1", "reads/2", "reads/3", "reads/4", "dir"]);
}

#[test]
fn what_leads_elsewhere_is_refused() {
    let map = Literal::map([("../x".to_owned(), Literal::integer(1))].into());
    for (given, expected) in [
        (inputs(vec![("../x", Literal::integer(1))]), BadInput::Name("../x".to_owned())),
        (inputs(vec![("m", map)]), BadInput::Name("../x".to_owned())),
    ] {
        assert_eq!(plain().entries(&given).unwrap_err(), expected);
    }
    for (input_path, output_path, part) in [
        ("relative", "", "input_data_dir `relative`"),
        ("/a/../b", "", "input_data_dir `/a/../b`"),
        ("", "/", "output_data_dir `/`"),
        ("/x/", "/x", "both `/x/`"),
    ] {
        let inputs = if input_path.is_empty() { INPUTS } else { input_path }.to_owned();
        let outputs = if output_path.is_empty() { OUTPUTS } else { output_path }.to_owned();
        let said = ContainerTask { inputs, outputs, ..plain() }.refusal().unwrap();
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(plain().refusal(), None);
}

#[test]
fn placeholders_are_inputs() {
    let given = inputs(vec![("n", Literal::float(0.5)), ("b", Literal::boolean(false)), ("f", file("s3://b/x"))]);
    let filled = |word: &str| plain().filled(&[word.to_owned()], &given).map(|words| words[0].clone());
    for (word, expected) in [
        ("-n {{.inputs.n}}", "-n 0.5"),
        ("{{ .Inputs.b }}{{$inputs.f}}", "falses3://b/x"),
        ("{{.outputPrefix}} {{ {{.inputs.n", "{{.outputPrefix}} {{ {{.inputs.n"),
        ("${x}", "${x}"),
    ] {
        assert_eq!(filled(word).as_deref(), Ok(expected));
    }
    assert_eq!(filled("{{.inputs.none}}"), Err(BadInput::Unknown("none".to_owned())));
}

#[test]
fn outputs_are_what_their_files_say_in_their_types() {
    let optional = |kind: LiteralType, tag: &str| LiteralType::optional(kind, tag);
    for (declared, text, expected) in [
        (LiteralType::integer(), " 5\n", json!(5)),
        (LiteralType::float(), "2\n", json!(2.0)),
        (LiteralType::boolean(), "True\n", json!(true)),
        (LiteralType::string(), " as it is\n", json!(" as it is\n")),
        (LiteralType::datetime(), "2024-02-29T12:00:00Z\n", json!("2024-02-29T12:00:00Z")),
        (LiteralType::duration(), "1 day, 0:00:01\n", json!(86401.0)),
        (LiteralType::duration(), "-1m1.5s", json!(-61.5)),
        (LiteralType::duration(), "250ms", json!(0.25)),
        (LiteralType::duration(), "90", json!(90.0)),
        (LiteralType::enumeration(["LOW", "HIGH"]), "HIGH\n", json!("HIGH")),
        (LiteralType::list(LiteralType::integer()), "[1, 2]\n", json!([1, 2])),
        (optional(LiteralType::integer(), "int"), "3", json!(3)),
    ] {
        let output = &task(LiteralMapFormat::JSON, FileInputLayout::DIRECT, vec![("o", declared)]).wanted()[0];
        let mut collected = Collected::default();
        collected.text(output, text).unwrap();
        assert_eq!(first(collected).to_json(), expected, "{text}");
    }
    for (declared, text, part) in [
        (LiteralType::integer(), "five", "output `o`: expected an integer of 64 bits"),
        (LiteralType::duration(), "1 parsec", "a length of time"),
        (LiteralType::duration(), "", "a length of time"),
        (LiteralType::enumeration(["LOW"]), "low", "one of LOW"),
        (LiteralType::list(LiteralType::integer()), "1,2", "expected JSON"),
    ] {
        let output = &task(LiteralMapFormat::JSON, FileInputLayout::DIRECT, vec![("o", declared)]).wanted()[0];
        let said = Collected::default().text(output, text).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_is_stored_has_the_form_of_its_type_and_what_no_file_can_hold_is_refused() {
    let kind = |dimensionality: BlobDimensionality| {
        let blob = BlobType { format: "x".to_owned(), dimensionality: dimensionality.into(), ..BlobType::default() };
        LiteralType { r#type: Some(blob.into()), ..LiteralType::default() }
    };
    let (single, several) = (kind(BlobDimensionality::SINGLE), kind(BlobDimensionality::MULTIPART));
    let outputs = vec![
        ("f", single.clone()),
        ("d", several),
        ("o", LiteralType::optional(single, "x")),
        ("n", LiteralType::none()),
    ];
    let wanted = task(LiteralMapFormat::JSON, FileInputLayout::DIRECT, outputs).wanted();
    let kinds: Vec<(Kind, bool)> = wanted.iter().map(|output| (output.kind, output.is_optional)).collect();
    // Sorted by their names: d, f, n, o.
    assert_eq!(kinds, [(Kind::Directory, false), (Kind::File, false), (Kind::Nothing, false), (Kind::File, true)]);
    let of = |add: &dyn Fn(&mut Collected)| {
        let mut collected = Collected::default();
        add(&mut collected);
        first(collected)
    };
    let optional = of(&|collected| collected.stored(&wanted[3], "s3://b/o"));
    assert_eq!(optional.as_union().unwrap().0.to_json(), json!("s3://b/o"));
    assert!(of(&|collected| collected.missing(&wanted[3])).as_union().unwrap().0.is_none());
    assert_eq!(of(&|collected| collected.stored(&wanted[1], "s3://b/f")).to_json(), json!("s3://b/f"));
    let refused = task(LiteralMapFormat::JSON, FileInputLayout::DIRECT, vec![("x", LiteralType::bytes())]).refusal();
    assert!(refused.unwrap().contains("output `x`"));
}
