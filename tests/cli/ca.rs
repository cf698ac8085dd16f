//! Certificates of a company's own authorities, as OpenSSL finds them in images of every kind.

use std::fs;

use super::deb::Deb;
use super::mirror::Mirrored;
use super::support::{Base, Image, Project, Tar};

/// An authority; its hash as OpenSSL computes it is `1f9ab3fe`.
const COMPANY: &str = include_str!("../support/certificates/company.pem");
/// Another one: `bf092d94`.
const OTHER: &str = include_str!("../support/certificates/other.pem");
/// What the first one vouches for.
const SERVER: &str = include_str!("../support/certificates/server.pem");

const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

fn recipe(from: &str, ca: &str) -> String {
    format!("[images.app]\nfrom = \"{from}\"\n[[images.app.layers]]\nca = {ca}\n")
}

/// Whether OpenSSL believes the server, with what lies in the image alone.
fn believed(project: &Project, image: &Image, option: &str, place: &str) -> bool {
    let tree = project.path("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir(&tree).unwrap();
    for layer in &image.layers {
        fs::write(project.path("layer.tar"), layer).unwrap();
        let arguments = ["-x", "--no-same-owner", "-f", "layer.tar", "-C", "tree"];
        assert!(project.wrapped("tar", &[], &arguments).status().unwrap().success());
    }
    // A link to an absolute path is meant inside of the image.
    for entry in fs::read_dir(tree.join("etc/ssl/certs")).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(target) = fs::read_link(&path)
            && let Ok(target) = target.strip_prefix("/")
        {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(tree.join(target), &path).unwrap();
        }
    }
    fs::write(project.path("server.pem"), SERVER).unwrap();
    let place = tree.join(place);
    let arguments = ["verify", "-no-CAfile", "-no-CApath", "-no-CAstore", "-no_check_time", option];
    let mut command = project.wrapped("openssl", &arguments, &[place.to_str().unwrap(), "server.pem"]);
    command.output().unwrap().status.success()
}

#[test]
fn an_image_without_any_gets_a_bundle() {
    let project = Project::new(&recipe("scratch", "\"certs/company.pem\""));
    project.write("ctx/certs/company.pem", COMPANY);
    let image = project.build().image("app");
    assert_eq!(image.file(BUNDLE), COMPANY);
    assert_eq!(image.file("usr/local/share/ca-certificates/company.crt"), COMPANY, "where Debian's own tool looks");
    assert!(believed(&project, &image, "-CAfile", BUNDLE));
    assert!(image.top().contains(&format!("f 0644 0:0 {BUNDLE} ")), "{}", image.top());
    // Not just anybody's.
    project.write("ctx/certs/company.pem", OTHER);
    let image = project.build().image("app");
    assert!(!believed(&project, &image, "-CAfile", BUNDLE));
}

/// Debian's base: a bundle, and links by which OpenSSL finds certificates one by one.
#[test]
fn a_debian_base_keeps_what_it_has() {
    let tar = Tar::new()
        .dir("etc/", 0o755, 0, 0)
        .dir("etc/ssl/", 0o755, 0, 0)
        .dir("etc/ssl/certs/", 0o750, 0, 50)
        .file(BUNDLE, 0o644, OTHER)
        .dir("usr/", 0o755, 0, 0)
        .end();
    let project = Project::new(&recipe("oci:base", "[\"company.pem\"]"));
    project.write("ctx/company.pem", COMPANY);
    Base::of(tar).layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    assert_eq!(image.file(BUNDLE), format!("{OTHER}{COMPANY}"));
    assert!(image.top().contains("etc/ssl/certs/1f9ab3fe.0 -> "), "{}", image.top());
    assert!(believed(&project, &image, "-CAfile", BUNDLE));
    assert!(believed(&project, &image, "-CApath", "etc/ssl/certs"));
    assert!(image.top().contains("d 0750 0:50 etc/ssl/certs/\n"), "parents are the base's: {}", image.top());
    // Once is enough.
    project.recipe(&format!("{}[[images.app.layers]]\nca = \"company.pem\"\n", recipe("oci:base", "\"company.pem\"")));
    let image = project.build().image("app");
    assert_eq!(image.file(BUNDLE).matches("BEGIN CERTIFICATE").count(), 2);
}

/// Bundles elsewhere, and names for the same one.
#[test]
fn other_distributions_have_other_places() {
    let alpine = Tar::new()
        .dir("etc/", 0o755, 0, 0)
        .dir("etc/ssl/", 0o755, 0, 0)
        .link("etc/ssl/cert.pem", "certs/ca-certificates.crt")
        .dir("etc/ssl/certs/", 0o755, 0, 0)
        .file(BUNDLE, 0o644, OTHER)
        .end();
    let project = Project::new(&recipe("oci:base", "\"company.pem\""));
    project.write("ctx/company.pem", COMPANY);
    Base::of(alpine).layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    assert_eq!(image.file(BUNDLE), format!("{OTHER}{COMPANY}"));
    assert!(!image.top().contains("etc/ssl/cert.pem"), "the link stays a link: {}", image.top());
    let redhat = Tar::new()
        .dir("etc/", 0o755, 0, 0)
        .dir("etc/pki/", 0o755, 0, 0)
        .dir("etc/pki/ca-trust/", 0o755, 0, 0)
        .dir("etc/pki/ca-trust/extracted/", 0o755, 0, 0)
        .dir("etc/pki/ca-trust/extracted/pem/", 0o755, 0, 0)
        .file("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", 0o444, OTHER)
        .dir("etc/pki/ca-trust/source/", 0o755, 0, 0)
        .dir("etc/pki/ca-trust/source/anchors/", 0o755, 0, 0)
        .end();
    Base::of(redhat).layout(&project.path("ctx/base"));
    let image = project.build().image("app");
    assert_eq!(image.file("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"), format!("{OTHER}{COMPANY}"));
    assert!(image.top().contains("f 0444 0:0 etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem "), "{}", image.top());
    assert_eq!(image.file("etc/pki/ca-trust/source/anchors/company.crt"), COMPANY);
}

/// On the bundle that packages of the same recipe bring, in another layer and in the same.
#[test]
fn with_debians_own_certificates() {
    let package = Deb::all("ca-certificates", "1")
        .file("usr/share/ca-certificates/mozilla/Other.crt", OTHER)
        .directory("etc/ssl/certs", 0o755)
        .script("postinst", "#!/bin/sh\nupdate-ca-certificates\n");
    let mirrored = Mirrored::with([package]);
    mirrored.project.write("ctx/company.pem", COMPANY);
    let mut bundles = Vec::new();
    for between in ["", "[[images.app.layers]]\n"] {
        mirrored.recipe(&format!(
            "[images.app]\nfrom = \"scratch\"\n[[images.app.layers]]\ndebian = [\"ca-certificates\"]\n{between}ca = \"company.pem\"\n"
        ));
        let image = mirrored.build().image("app");
        let bundle = image.file(BUNDLE);
        assert!(bundle.contains(COMPANY.trim()) && bundle.contains(OTHER.trim()), "{bundle}");
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2, "{bundle}");
        for hash in ["1f9ab3fe.0", "bf092d94.0"] {
            assert!(
                image.listings().concat().contains(&format!("etc/ssl/certs/{hash} -> ")),
                "{hash} in {}",
                image.top()
            );
        }
        assert!(believed(&mirrored.project, &image, "-CApath", "etc/ssl/certs"));
        bundles.push(bundle);
    }
    assert_eq!(bundles[0], bundles[1]);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let project = Project::new(&recipe("scratch", "[\"file.pem\"]"));
    for (text, word) in [
        ("", "empty"),
        ("hello", "no certificate"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n", "private key"),
        (&format!("{COMPANY}-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), "private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
    ] {
        project.write("ctx/file.pem", text);
        let told = project.run(&["build", "-o", "oci:out"]).fails(3);
        assert!(told.contains("file.pem") && told.contains(word), "{word} in {told}");
        assert!(told.contains("lapstrake.toml:"), "{told}");
    }
    fs::remove_file(project.path("ctx/file.pem")).unwrap();
    let told = project.run(&["build", "-o", "oci:out"]).fails(3);
    assert!(told.contains("file.pem"), "{told}");
    // Several in one file, and DER.
    project.write("ctx/file.pem", format!("Company\n{COMPANY}\n\n{OTHER}"));
    let image = project.build().image("app");
    assert_eq!(image.file(BUNDLE), format!("{COMPANY}{OTHER}"));
    assert!(image.top().contains("file-1.crt") && image.top().contains("file-2.crt"), "{}", image.top());
    let der =
        project.wrapped("openssl", &["x509", "-outform", "der", "-in", "ctx/file.pem", "-out", "ctx/file.der"], &[]);
    project.end(der).ok();
    project.recipe(&recipe("scratch", "[\"file.der\"]"));
    assert_eq!(project.build().image("app").file(BUNDLE), COMPANY);
}
