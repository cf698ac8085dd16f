//! The two small recipes, run.

use crate::containers::{Container, RESTRICTED, pull};
use crate::support;

#[test]
fn hello_says_hello_and_nothing_else_is_in_the_image() {
    let built = support::hello();
    let layout = built.layout();
    let image = layout.image(&built.digests["hello"]);
    let [layer] = &image.layers()[..] else { panic!("not one layer: {:?}", image.layers()) };
    assert_eq!(layout.entries(&layer.digest), ["hello"]);

    let stopped = Container::start(&pull("hello/hello:latest"), &RESTRICTED, &[]).wait();
    assert_eq!(stopped.code, 0, "{}", stopped.log);
    assert_eq!(stopped.log, "hello from an image with one file; uid 65532, gid 65532, pid 1\n");
}

#[test]
fn static_site_answers_as_any_user_on_a_read_only_root() {
    support::static_site();
    let image = pull("static-site/site:latest");
    for user in ["65532:65532", "1234567:0"] {
        let site = Container::start(&image, &[&RESTRICTED[..], &["--user", user]].concat(), &[]);
        let page = site.ready("http://127.0.0.1:8080/").get("http://127.0.0.1:8080/");
        assert!(page.contains("<html"), "{page}");
        assert_eq!(site.request("http://127.0.0.1:8080/nowhere", &[]).map(|(status, _)| status), Some(404));
        assert_eq!(site.terminate().code, 0);
    }
}
