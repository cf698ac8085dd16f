//! JSON that is digested, and JSON that is trusted with nothing.
//!
//! What lapstrake writes is canonical: keys of objects sorted by their bytes, no white space, no trailing newline; what it
//! reads is refused where two readers could see two things (keys given twice, or in another case; text after the value).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::shape::{EXACT, Shape, Shaped, folded};
use super::{Descriptor, Digest, MediaType};

/// The largest manifest, index or config that is read, in bytes (distribution-spec: registries take at least 4 MiB).
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Why a text is not the JSON document that was expected.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than [`MAX_DOCUMENT`].
    #[error("the document has {0} bytes, and the limit is {MAX_DOCUMENT}")]
    TooLarge(u64),
    /// Not JSON, or not of the expected shape.
    #[error("not the expected JSON")]
    Shape(#[from] serde_json::Error),
    /// A field contradicts what the document was said to be.
    #[error("{0}")]
    Contradiction(String),
}

/// Canonical bytes of a value: keys sorted, nothing between the tokens.
///
/// # Errors
/// Where the value cannot be told in JSON at all (a map whose keys are no strings).
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    // Through `Value`, whose map is sorted: field order of the types plays no part.
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?)
}

/// Reads JSON strictly: UTF-8, one value, no key twice, at most 128 levels deep, at most [`MAX_DOCUMENT`] bytes. Documents of
/// images are read by [`document`].
///
/// # Errors
/// [`JsonError`] says which of these does not hold.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    parse_as(bytes, &EXACT)
}

/// Reads a document of an image, or a part of one: as [`parse`], and no key of a structure that others take for another
/// (see [`super::shape`]).
///
/// # Errors
/// [`JsonError`] says what does not hold.
pub fn document<T: Shaped>(bytes: &[u8]) -> Result<T, JsonError> {
    parse_as(bytes, T::SHAPE)
}

/// Reads a document of that shape.
///
/// # Errors
/// As [`document`].
pub fn parse_as<T: DeserializeOwned>(bytes: &[u8], shape: &'static Shape) -> Result<T, JsonError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(JsonError::TooLarge(bytes.len() as u64));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = StrictValue(shape).deserialize(&mut reader)?;
    reader.end()?;
    Ok(serde_json::from_value(value)?)
}

/// Reads any value, refusing objects of which two readers could see two things.
struct StrictValue(&'static Shape);

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The key under which serde_json hands over a number that it keeps as text.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(StrictValue(self.0.item()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER_TOKEN {
                let text: String = entries.next_value()?;
                let number: serde_json::Number = text.parse().map_err(de::Error::custom)?;
                return Ok(Value::Number(number));
            }
            if let Some(name) = self.0.meant(&key) {
                let text = format_args!("the key {key:?} is {name:?} to readers that take a key whatever its case");
                return Err(de::Error::custom(text));
            }
            let value = entries.next_value_seed(StrictValue(self.0.member(&key)))?;
            if map.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format_args!("the key {key:?} stands twice in one object")));
            }
            if !self.0.is_map() && !seen.insert(folded(&key)) {
                let text = format_args!("the key {key:?} stands twice in one object, if it is taken whatever its case");
                return Err(de::Error::custom(text));
            }
        }
        Ok(Value::Object(map))
    }
}

/// A parsed document together with the very bytes that its digest belongs to.
#[derive(Clone)]
pub struct Encoded<T> {
    value: T,
    bytes: Vec<u8>,
    descriptor: Descriptor,
}

impl<T> Encoded<T> {
    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Media type, digest and size of the bytes.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.descriptor.digest
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T: Serialize> Encoded<T> {
    /// Writes a value in canonical form.
    ///
    /// # Errors
    /// As [`canonical`]; where it is longer than what is read.
    pub fn new(media_type: MediaType, value: T) -> Result<Self, JsonError> {
        let bytes = canonical(&value)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(JsonError::TooLarge(bytes.len() as u64));
        }
        Ok(Encoded { descriptor: Descriptor::of(media_type, &bytes), value, bytes })
    }
}

impl<T: Shaped> Encoded<T> {
    /// Reads a document, keeping its bytes.
    ///
    /// # Errors
    /// As [`document`].
    pub fn read(media_type: MediaType, bytes: Vec<u8>) -> Result<Self, JsonError> {
        Ok(Encoded { value: document(&bytes)?, descriptor: Descriptor::of(media_type, &bytes), bytes })
    }
}

impl<T> Deref for Encoded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Encoded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded").field("digest", &self.descriptor.digest).field("value", &self.value).finish()
    }
}

/// Reads a field that is `null` as if it were absent, as Go's programs write empty lists and maps.
pub(crate) fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_whatever_the_order_they_came_in() {
        let value: Value = parse(br#"{"b":1,"a":{"z":[],"y":null}}"#).unwrap();
        assert_eq!(canonical(&value).unwrap(), br#"{"a":{"y":null,"z":[]},"b":1}"#);
    }

    #[test]
    fn numbers_keep_their_text() {
        for text in ["1.50", "123456789012345678901234567890"] {
            let value: Value = parse(text.as_bytes()).unwrap();
            assert_eq!(canonical(&value).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn refuses_what_two_readers_could_read_in_two_ways() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"b":0,"a":1}}"#,
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "",
            "nul",
            "{\"a\":\"\u{0}\"}",
            &deep,
        ] {
            assert!(parse::<Value>(bad.as_bytes()).is_err(), "{:.40}", bad);
        }
        assert!(parse::<Value>(b"\"\xff\"").is_err());
        let long = format!("\"{}\"", "x".repeat(MAX_DOCUMENT as usize));
        assert!(matches!(parse::<Value>(long.as_bytes()), Err(JsonError::TooLarge(_))));
    }
}
