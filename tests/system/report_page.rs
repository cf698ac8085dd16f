//! The page of `lapstrake report` in a real browser: clicked through, by mouse and by keys, in light and dark, on a phone.

use std::path::{Path, PathBuf};
use std::{fs, process::Command};

use super::browser::{Browser, Look};
use super::support::{cache, directory, lapstrake, ok, recipe};

const DESK: Look = Look { width: 1280, height: 900, dark: false };
const PHONE: Look = Look { width: 390, height: 844, dark: false };

fn page(name: &str) -> PathBuf {
    let file = directory("report").join(format!("{name}.html"));
    let mut command: Command = lapstrake();
    ok(command.args(["report", "--locked", "--offline", "-f"]).arg(&recipe(name).file).arg("-o").arg(&file));
    file
}

/// Where pictures are kept for people to look at, from run to run.
fn pictures() -> PathBuf {
    let directory = cache().with_file_name("report-pictures");
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// What every page must be, however it is looked at.
fn looks_right(browser: &mut Browser, look: Look) {
    let sideways = browser.number("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(sideways, 0.0, "the page itself is never scrolled sideways: {look:?}");
    let tiles = browser.number("document.querySelectorAll('#tiles .tile').length");
    assert!(tiles > 10.0, "{tiles} tiles: {look:?}");
    // Text against what is behind it, as WCAG counts it, where both are plain colours.
    let worst = browser.number(
        "(() => {
           const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
           const light = (colour) => parts(colour).slice(0, 3)
             .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
             .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
           const behind = (element) => {
             for (let at = element; at; at = at.parentElement) {
               const colour = getComputedStyle(at).backgroundColor;
               if (colour.startsWith('rgb(')) return colour;
             }
             return 'rgb(255, 255, 255)';
           };
           let worst = 21;
           for (const element of document.querySelectorAll('h1, h2, p, th, td, small, code, a, caption, dt, dd, label, summary, b')) {
             if (element.closest('.skip, .unseen') || element.checkVisibility() === false) continue;
             const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
             worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
           }
           return worst;
         })()",
    );
    assert!(worst >= 4.5, "the worst contrast is {worst}: {look:?}");
}

fn quiet(browser: &Browser, page: &Path) {
    assert_eq!(browser.complaints, Vec::<String>::new());
    let own = format!("file://{}", page.display());
    let others: Vec<&String> = browser.requests.iter().filter(|url| **url != own).collect();
    assert!(others.is_empty(), "the page asks for {others:?}");
}

#[test]
fn the_page_is_right_in_light_and_dark_on_desks_and_phones() {
    let mut browser = Browser::start("report-looks");
    for name in ["archon", "eveai"] {
        let page = page(name);
        for (shape, wide) in [("desk", DESK), ("phone", PHONE)] {
            for (scheme, dark) in [("light", false), ("dark", true)] {
                let look = Look { dark, ..wide };
                browser.open(&page, look);
                looks_right(&mut browser, look);
                let light =
                    browser.number("Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])");
                assert_eq!(light < 128.0, dark, "{look:?}");
                browser.picture(&pictures().join(format!("{name}-{shape}-{scheme}.png")));
            }
        }
        browser.open(&page, DESK);
        browser.print(&pictures().join(format!("{name}-print.png")));
        quiet(&browser, &page);
        browser.requests.clear();
    }
}

#[test]
fn the_map_is_gone_into_by_mouse_and_by_keys() {
    let page = page("archon");
    let mut browser = Browser::start("report-map");
    browser.open(&page, DESK);
    let path = "[...document.querySelectorAll('#map-path button')].map((one) => one.textContent).join(' > ')";
    let focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent";
    assert_eq!(browser.text(path), "All files");

    // By mouse: into a kind of packages, into a package, and back over the path.
    browser.click("document.querySelector('#tiles .tile.debian.open')");
    assert_eq!(browser.text(path), "All files > Debian packages");
    let python =
        "[...document.querySelectorAll('#tiles .tile.group')].find((one) => one.ariaLabel.startsWith('libpython3'))";
    browser.click(python);
    let gone = browser.text(path);
    assert!(gone.starts_with("All files > Debian packages > libpython3"), "{gone}");
    browser.glance(&pictures().join("map-package.png"));
    browser.click("document.querySelectorAll('#map-path button')[0]");
    assert_eq!(browser.text(path), "All files");

    // By keys: the tiles are one stop of the tab key, arrows go about in them.
    browser.eval("document.getElementById('map-image').focus()");
    for _ in 0..2 {
        browser.key("Tab");
    }
    let first = browser.text(focused);
    assert!(first.starts_with("Debian packages, "), "{first}");
    browser.key("ArrowRight");
    assert_ne!(browser.text(focused), first);
    browser.key("ArrowLeft");
    browser.key("Tab");
    assert_eq!(browser.eval("document.activeElement.closest('#tiles')"), serde_json::Value::Null);
    browser.eval("document.querySelector('#tiles .tile[tabindex=\"0\"]').focus()");
    let before = browser.text(focused);
    assert!(before.contains(", opens"), "{before}");
    browser.key("Enter");
    let inside = browser.text(path);
    assert!(inside.starts_with("All files > "), "{inside}");
    assert_eq!(browser.eval("document.activeElement.closest('#tiles') !== null"), true, "the focus stays in the map");
    browser.key("Escape");
    assert_eq!(browser.text(path), "All files");
    assert_eq!(browser.text(focused), before, "where one came from has the focus");

    // The table beside the map goes there, too, and what the map says adds up.
    browser.click("document.querySelector('#map-parts button')");
    assert_eq!(browser.text(path), "All files > Debian packages");
    browser.key("Escape");
    let image = browser.number("document.querySelectorAll('#map-image option').length");
    assert_eq!(image, 8.0);
    browser.eval(
        "(() => { const image = document.getElementById('map-image'); image.value = '6'; \
         image.dispatchEvent(new Event('change', { bubbles: true })); })()",
    );
    let told = browser.text("document.getElementById('map-told').textContent");
    let row = browser.text("document.querySelectorAll('table.images tbody tr')[6].textContent");
    let size = told.split([' ']).skip(2).take(2).collect::<Vec<_>>().join(" ");
    assert!(row.contains(&size), "{told} / {row}");
    quiet(&browser, &page);
}

#[test]
fn packages_are_filtered_and_sorted_and_platforms_chosen() {
    let page = page("archon");
    let mut browser = Browser::start("report-packages");
    browser.open(&page, DESK);
    let rows = "[...document.querySelectorAll('[data-platform=\"0\"] table.packages tbody tr')].filter((row) => !row.hidden).map((row) => row.cells[0].textContent)";
    let all = browser.number(&format!("{rows}.length"));
    assert!(all > 80.0, "{all}");
    browser.click("document.querySelector('form.filter input')");
    browser.write("starlette");
    let found = browser.text(&format!("{rows}.join()"));
    assert!(found.split(',').all(|name| name == "starlette") && !found.is_empty(), "{found}");
    let told = browser.text("document.querySelector('form.filter output').textContent");
    assert!(told.ends_with(&format!("of {all} packages")), "{told}");
    browser.glance(&pictures().join("packages-filtered.png"));
    browser.key("Escape");
    assert_eq!(browser.number(&format!("{rows}.length")), all, "Escape empties the field");
    browser.eval(
        "(() => { const kind = document.querySelector('form.filter select'); kind.value = 'python'; \
         kind.dispatchEvent(new Event('input', { bubbles: true })); })()",
    );
    let kinds = browser.text("[...new Set([...document.querySelectorAll('[data-platform=\"0\"] table.packages tbody tr')].filter((row) => !row.hidden).map((row) => row.dataset.kind))].join()");
    assert_eq!(kinds, "python");

    let by_size = "[...document.querySelectorAll('[data-platform=\"0\"] table.packages thead button')][3]";
    browser.click(by_size);
    let sizes = "[...document.querySelectorAll('[data-platform=\"0\"] table.packages tbody td.number')].map((cell) => Number(cell.dataset.value))";
    let falls = format!("{sizes}.every((size, at, all) => at === 0 || all[at - 1] >= size)");
    assert_eq!(browser.eval(&falls), true);
    assert_eq!(browser.text(&format!("{by_size}.closest('th').getAttribute('aria-sort')")), "descending");
    browser.click(by_size);
    assert_eq!(browser.eval(&falls), false);

    let shown = "[...new Set([...document.querySelectorAll('[data-platform]')].filter((part) => part.checkVisibility()).map((part) => part.dataset.platform))].join()";
    assert_eq!(browser.text(shown), "0");
    browser.eval("document.querySelector('#platforms input').focus()");
    browser.key("ArrowRight");
    assert_eq!(browser.text(shown), "1");
    assert_eq!(browser.number("document.querySelectorAll('#map-image option').length"), 8.0);
    quiet(&browser, &page);
}
