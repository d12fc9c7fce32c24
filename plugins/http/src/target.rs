//! Urls: which of them a request can be sent to.
//!
//! Whether the address behind one may be reached is [`crate::address`]'s business.

use std::net::IpAddr;

use http::Uri;
use url::{Host, Url};

/// A url that a request can be sent to.
pub fn parse(text: &str) -> Result<Url, String> {
    let wanted = "write it as https://host/path";
    let url = Url::parse(text).map_err(|error| format!("the url cannot be read ({error}); {wanted}"))?;
    checked(url)
}

/// The same for one that was read already.
pub fn checked(mut url: Url) -> Result<Url, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "the url begins with '{}:'; only http and https are possible",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the url has a user name or password in it; send it in an Authorization header".to_owned(),
        );
    }
    url.set_fragment(None);
    uri(&url)?;
    Ok(url)
}

/// The url as the client takes it.
pub fn uri(url: &Url) -> Result<Uri, String> {
    url.as_str()
        .parse()
        .map_err(|error| format!("the url cannot be sent ({error})"))
}

/// The address in a url that has one instead of a name.
pub fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Rule;

    #[test]
    fn an_address_is_recognised_however_it_is_written() {
        let refused = |host: &str| {
            let url = parse(&format!("http://{host}/")).unwrap();
            address(&url).is_some_and(|address| Rule::Public.check(address).is_err())
        };
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
            "%31%32%37.0.0.1",
            "\u{ff11}27.0.0.1",
            "[::1]",
            "[::ffff:7f00:1]",
            "[fd00:ec2::254]",
            "169.254.169.254",
        ] {
            assert!(refused(host), "{host}");
        }
        for host in ["8.8.8.8", "127.0.0.1.example", "localhost", "[2606:4700::1111]"] {
            assert!(!refused(host), "{host}");
        }
    }

    #[test]
    fn what_is_sent_is_what_was_read() {
        for text in [
            "http://a.example/|^`{}\"<>\\%zz?[]'{}|^#x",
            "http://a.example:80/\u{e4}?\u{e4}",
            "https://b\u{fc}cher.example/",
        ] {
            let url = parse(text).unwrap();
            assert_eq!(uri(&url).unwrap().to_string(), url.as_str());
            assert!(url.as_str().is_ascii());
        }
        let long = format!("http://a.example/{}", "x".repeat(70_000));
        assert!(parse(&long).unwrap_err().contains("the url cannot be sent"));
    }
}
