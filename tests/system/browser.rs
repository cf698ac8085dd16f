//! A real browser, spoken to over a pair of pipes (`--remote-debugging-pipe`, the DevTools protocol): messages are JSON, each
//! ended by a null byte.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Value, json};

use super::support::{Daemon, daemon, directory, ok, program, tool};

/// A running Chromium with one page.
pub(crate) struct Browser {
    to: File,
    from: BufReader<File>,
    log: PathBuf,
    /// The page's session.
    session: String,
    last: u64,
    /// What the page threw or was refused, and what it asked of any server.
    pub(crate) complaints: Vec<String>,
    pub(crate) requests: Vec<String>,
    _daemon: Daemon,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

impl Browser {
    /// Starts one in a directory of its own below the tests' own.
    pub(crate) fn start(name: &str) -> Browser {
        let directory = directory(name);
        let (inwards, outwards) = (directory.join("in"), directory.join("out"));
        ok(tool("mkfifo").arg(&inwards).arg(&outwards));
        let log = directory.join("log");
        let mut command = daemon("sh");
        command
            .args(["-c", r#"exec "$1" "$2" "$3" "$4" "$5" "$6" "$7" about:blank 3<"$8" 4>"$9""#, "sh"])
            .arg(program("chromium"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            .args([&inwards, &outwards]);
        let daemon = Daemon::start(&mut command, &log);
        // In the order in which the shell opens them: each waits for the other side.
        let to = OpenOptions::new().write(true).open(&inwards).expect("a pipe");
        let from = BufReader::new(File::open(&outwards).expect("a pipe"));
        let (session, complaints, requests) = (String::new(), Vec::new(), Vec::new());
        let mut browser = Browser { to, from, log, session, last: 0, complaints, requests, _daemon: daemon };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        let read = self.from.read_until(0, &mut bytes).expect("a message of the browser");
        assert!(read > 0, "the browser ended:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes).expect("a message of the browser");
        let told = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.complaints.push(told["exceptionDetails"].to_string()),
            "Log.entryAdded" => self.complaints.push(told["entry"].to_string()),
            "Network.requestWillBeSent" => {
                self.requests.push(told["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
        message
    }

    /// Asks for something, and waits for the answer.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser listens");
        loop {
            let answer = self.message();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method} {params}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// Opens a file, and waits until it is loaded.
    pub(crate) fn open(&mut self, file: &Path, look: Look) {
        let Look { width, height, dark } = look;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while self.eval("document.readyState === 'complete' && location.protocol === 'file:'") != true {}
        self.settle();
    }

    /// Waits until what was drawn is on the screen.
    pub(crate) fn settle(&mut self) {
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    /// What an expression of the page's language comes to.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is no text: {value}")).to_owned()
    }

    pub(crate) fn number(&mut self, expression: &str) -> f64 {
        let value = self.eval(expression);
        value.as_f64().unwrap_or_else(|| panic!("{expression} is no number: {value}"))
    }

    /// A key, pressed and let go.
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => panic!("no code for the key {other}"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", params);
        }
        self.settle();
    }

    /// Text, typed where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
        self.settle();
    }

    /// A click of the mouse in the middle of an element, which is scrolled to first.
    pub(crate) fn click(&mut self, element: &str) {
        let place = format!(
            "(() => {{ const it = {element}; it.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = it.getBoundingClientRect(); return [box.x + Math.min(box.width / 2, 40), box.y + Math.min(box.height / 2, 9)]; }})()"
        );
        let place = self.eval(&place);
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
        self.settle();
    }

    /// A picture of the whole page.
    pub(crate) fn picture(&mut self, file: &Path) {
        let whole = self.whole();
        let answer = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": whole }));
        self.keep(&answer, file);
    }

    fn whole(&mut self) -> Value {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 })
    }

    /// A picture of what is in sight.
    pub(crate) fn glance(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({}));
        self.keep(&answer, file);
    }

    /// The page as it is printed on A4; and a picture of that with no breaks.
    pub(crate) fn print(&mut self, file: &Path) {
        let paper = json!({ "paperWidth": 8.27, "paperHeight": 11.69, "printBackground": true });
        let answer = self.call("Page.printToPDF", paper);
        self.keep(&answer, &file.with_extension("pdf"));
        self.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
        let metrics = json!({ "width": 794, "height": 1123, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.settle();
        self.picture(file);
        self.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
    }

    fn keep(&self, answer: &Value, file: &Path) {
        let data = answer["data"].as_str().expect("data of the browser");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
