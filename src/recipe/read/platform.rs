//! Platforms and architectures by name.

use std::str::FromStr;

use crate::nearest::nearest;
use crate::oci::Platform;
use crate::recipe::problems::{Fault, shown};

/// Architectures in Go's names, and what others call them.
const ARCHITECTURES: [(&str, &[&str]); 12] = [
    ("amd64", &["x86_64", "x86-64", "x64"]),
    ("arm64", &["aarch64", "armv8"]),
    ("arm", &["armhf", "armv7", "armel"]),
    ("386", &["i386", "i686", "x86"]),
    ("ppc64le", &["ppc64el", "powerpc64le"]),
    ("ppc64", &[]),
    ("s390x", &[]),
    ("riscv64", &["riscv"]),
    ("loong64", &["loongarch64"]),
    ("mips64le", &["mips64el"]),
    ("mipsle", &["mipsel"]),
    ("mips64", &[]),
];

/// The architecture that is called so, here or elsewhere.
fn architecture_called(text: &str) -> Option<&'static str> {
    ARCHITECTURES.iter().find(|(name, others)| *name == text || others.contains(&text)).map(|(name, _)| *name)
}

pub(super) fn architecture(text: &str) -> Result<(), Fault> {
    let close = match architecture_called(text) {
        Some(name) if name == text => return Ok(()),
        Some(name) => Some(name),
        None => nearest(text, ARCHITECTURES.iter().map(|(name, _)| *name)),
    };
    let fault = Fault::new(
        format!("architecture {} is not known", shown(text)),
        "expected Go's name, such as `amd64` or `arm64`",
    );
    Err(match close {
        Some(name) => fault.help(format!("did you mean `{name}`?")),
        None => fault,
    })
}

/// The platform that was probably meant by a text that is none, or whose architecture is not known.
pub fn platform_meant(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let named = lower.strip_prefix("linux/").unwrap_or(&lower);
    let (named, variant) = named.split_once('/').map_or((named, None), |(named, variant)| (named, Some(variant)));
    let close = architecture_called(named).or_else(|| nearest(named, ARCHITECTURES.iter().map(|(name, _)| *name)))?;
    let meant = match variant.filter(|_| close == named) {
        Some(variant) => format!("linux/{close}/{variant}"),
        None => format!("linux/{close}"),
    };
    (meant != text).then_some(meant)
}

pub(super) fn platform(text: &str) -> Result<Platform, Fault> {
    let expected = "expected a platform such as `\"linux/amd64\"` or `\"linux/arm/v7\"`";
    let Ok(platform) = Platform::from_str(text) else {
        let fault = Fault::new(format!("{} is no platform", shown(text)), expected);
        let named = text.strip_prefix("linux/").unwrap_or(text);
        return Err(match architecture_called(named) {
            Some(architecture) => fault.help(format!("did you mean `\"linux/{architecture}\"`?")),
            None => fault,
        });
    };
    if platform.os != "linux" {
        return Err(Fault::new(format!("images are for linux, not for {}", shown(&platform.os)), expected)
            .within(0..platform.os.len()));
    }
    let start = platform.os.len() + 1;
    architecture(&platform.architecture).map_err(|fault| fault.within(start..start + platform.architecture.len()))?;
    Ok(platform)
}
