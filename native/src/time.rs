//! Times as text: RFC 3339, UTC.

/// 2255-04-05, well within what 64 bits of nanoseconds hold. No acceptable event is of a later time.
pub const MAX_SECONDS: u64 = 9_000_000_000;

/// Append the shortest exact text, with 0, 3, 6 or 9 fraction digits; `seconds` is at most `MAX_SECONDS`.
pub fn put_time(out: &mut Vec<u8>, seconds: u64, nanos: u32) {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let parts =
        [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T'), (of_day / 3_600, 2, b':'), (of_day / 60 % 60, 2, b':')];
    for (number, digits, end) in parts {
        put_digits(out, number, digits);
        out.push(end);
    }
    put_digits(out, of_day % 60, 2);
    let fraction = match nanos {
        0 => None,
        _ if nanos.is_multiple_of(1_000_000) => Some((nanos / 1_000_000, 3)),
        _ if nanos.is_multiple_of(1_000) => Some((nanos / 1_000, 6)),
        _ => Some((nanos, 9)),
    };
    if let Some((number, digits)) = fraction {
        out.push(b'.');
        put_digits(out, u64::from(number), digits);
    }
    out.push(b'Z');
}

/// Append a number with leading zeros.
fn put_digits(out: &mut Vec<u8>, mut number: u64, digits: usize) {
    let end = out.len() + digits;
    out.resize(end, b'0');
    for place in out[end - digits..].iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Return the whole milliseconds since 1970 of a time as `put_time` writes it; None for any other text, and before 1970.
pub fn millis(text: &[u8]) -> Option<u64> {
    let seconds = text.get(..19)?;
    let fraction = text[19..].strip_suffix(b"Z")?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
    };
    let part = |at: usize, length: usize| number(&seconds[at..at + length]);
    let (year, month, day) = (part(0, 4)?, part(5, 2)?, part(8, 2)?);
    let (hour, minute, second) = (part(11, 2)?, part(14, 2)?, part(17, 2)?);
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| seconds[at] != mark) || year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    let millis = match fraction.strip_prefix(b".") {
        None if fraction.is_empty() => 0,
        Some(digits) if matches!(digits.len(), 3 | 6 | 9) => {
            number(digits)?;
            number(&digits[..3])?
        }
        _ => return None,
    };
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis)
}

/// Return the days since 1970-01-01 of a day from then on; None where there is no such day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = (month + 9) % 12; // since March
    let of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let leaps = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = (shifted_year * 365 + leaps + of_year).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a number of days since 1970-01-01 (the Gregorian calendar repeats every 146,097 days).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
