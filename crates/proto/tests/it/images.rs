//! Image hashes and URIs equal stock Flyte's.

use spanwise_proto::{
    Image,
    image::{Error, PipPackages},
};

use crate::golden::{case, cases, text};

fn images() -> Vec<(&'static str, Image)> {
    let debian = Image::from_debian_base;
    let base = || Image::from_base("docker.io/library/debian:12");
    vec![
        ("debian", debian()),
        ("debian_default_flyte", debian()),
        ("debian_311", debian().python_version(3, 11).flyte_version("v2.0.0")),
        ("debian_named", debian().name("mine")),
        ("debian_registry", debian().registry("reg.example/x").name("mine")),
        ("pip", debian().with_pip_packages(["pandas==2.2", "numpy"])),
        (
            "pip_options",
            debian().with_pip(PipPackages {
                packages: vec!["torch".into()],
                index_url: Some("https://i".into()),
                extra_index_urls: vec!["https://a".into(), "https://b".into()],
                pre: true,
                extra_args: Some("--no-deps".into()),
            }),
        ),
        ("apt", debian().with_apt_packages(["git", "curl"])),
        ("apt_then_pip", debian().with_apt_packages(["git"]).with_pip_packages(["ü-package"])),
        ("pip_then_apt", debian().with_pip_packages(["ü-package"]).with_apt_packages(["git"])),
        ("env", debian().with_env_vars([("B", "2"), ("A", "1")])),
        ("commands", debian().with_commands(["echo a", "echo b"]).with_workdir("/srv")),
        ("pip_empty", debian().with_pip_packages([""; 0])),
        ("base", base()),
        ("base_layers", base().registry("r.io").name("n").with_apt_packages(["git"])),
        ("base_named", base().name("n")),
    ]
}

#[test]
fn s9_image_uri_equals_flyte() {
    let images = images();
    assert_eq!(images.len(), cases("images").len());
    for (name, image) in images {
        let expected = case("images", name);
        assert_eq!(image.content_hash(), text(&expected["hash"]), "{name}");
        assert_eq!(image.uri().unwrap(), text(&expected["uri"]), "{name}");
    }
}

#[test]
fn s9_image_with_layers_needs_a_name() {
    let image = Image::from_base("debian:12").with_apt_packages(["git"]);
    let base = "debian:12".to_owned();
    assert_eq!(image.uri(), Err(Error::Unnamed { base }));
}
