//! `IMF-fixdate` of RFC 9110 section 5.6.7, for the Date of what we say and of responses that came without one.

/// Appends the time as `Sun, 06 Nov 1994 08:49:37 GMT`: 29 bytes, until the year 9999.
pub fn write_http_date(out: &mut Vec<u8>, unix_s: u64) {
    const DAYS: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let (days, s) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    out.extend_from_slice(DAYS[(days % 7) as usize]);
    out.extend_from_slice(b", ");
    two_digits(out, day);
    out.push(b' ');
    out.extend_from_slice(MONTHS[month as usize - 1]);
    out.push(b' ');
    two_digits(out, year / 100);
    two_digits(out, year);
    out.push(b' ');
    two_digits(out, s / 3600);
    out.push(b':');
    two_digits(out, s / 60 % 60);
    out.push(b':');
    two_digits(out, s % 60);
    out.extend_from_slice(b" GMT");
}

fn two_digits(out: &mut Vec<u8>, number: u64) {
    out.push(b'0' + (number / 10 % 10) as u8);
    out.push(b'0' + (number % 10) as u8);
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01. Years are counted from March, in
/// eras of 400 of them, so that the leap day is the last of a year and the lengths of months follow one formula
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(unix_s: u64) -> String {
        let mut out = Vec::new();
        write_http_date(&mut out, unix_s);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_imf_fixdate() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"); // the example of RFC 9110 section 5.6.7
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(1_709_164_799), "Wed, 28 Feb 2024 23:59:59 GMT");
        assert_eq!(date(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(date(253_402_300_799), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
