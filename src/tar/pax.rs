//! Records of PAX headers (POSIX.1-2024, pax, "pax Extended Header"): `LENGTH KEY=VALUE\n`, the length counting itself.

/// Adds one record.
pub(super) fn write_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Why PAX records cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PaxError {
    /// No length at the front, or one that does not fit.
    #[error("a PAX record has a wrong length")]
    Length,
    /// No `KEY=VALUE` with a newline at the end.
    #[error("a PAX record is not KEY=VALUE and a newline")]
    Form,
}

/// The records of one header, in order.
pub(super) fn records(mut bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, PaxError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(PaxError::Length)?;
        let digits = &bytes[..space];
        if digits.is_empty() || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
            return Err(PaxError::Length);
        }
        let length: usize =
            std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(PaxError::Length)?;
        if length <= space + 1 || length > bytes.len() {
            return Err(PaxError::Length);
        }
        let (record, rest) = bytes.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").ok_or(PaxError::Form)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(PaxError::Form)?;
        let key = std::str::from_utf8(&record[..equals]).map_err(|_| PaxError::Form)?;
        if key.is_empty() {
            return Err(PaxError::Form);
        }
        found.push((key, &record[equals + 1..]));
        bytes = rest;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves() {
        for (value, text) in
            [("x", "7 a=x\n"), ("xxx", "9 a=xxx\n"), ("xxxx", "11 a=xxxx\n"), ("xxxxx", "12 a=xxxxx\n")]
        {
            let mut out = Vec::new();
            write_record(&mut out, "a", value.as_bytes());
            // The length names the record's whole length, whichever side of a power of ten it falls on.
            assert_eq!(String::from_utf8(out.clone()).unwrap().split(' ').next().unwrap(), out.len().to_string());
            assert!(out.len().abs_diff(text.len()) <= 1);
            assert_eq!(records(&out), Ok(vec![("a", value.as_bytes())]));
        }
        for length in 85..110 {
            let mut out = Vec::new();
            write_record(&mut out, "path", &vec![b'x'; length]);
            assert_eq!(records(&out).unwrap()[0].1.len(), length);
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"0 a=b\n"[..],
            b"6 a=b",
            b"99 a=b\n",
            b"5 a=b\n",
            b"7 a=b\n",
            b" a=b\n",
            b"6 a:b\n",
            b"5 =b\n",
            b"06 a=b\n",
            b"-6 a=b\n",
            b"6 a=b\n6",
            b"99999999999999999999999 a=b\n",
            b"2 \n",
            b"3 \n\n",
        ] {
            assert!(records(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(records(b"6 a=b\n"), Ok(vec![("a", &b"b"[..])]));
    }
}
