//! A device may be called as a place beside the devices is.

use http::{Method, Request, Uri, uri::PathAndQuery};

/// Where devices are imported, which is done by POST alone.
const IMPORT: &str = "/api/v1/devices/import";

/// How the device of that name is written so that no place is called like it.
const DEVICE: &str = "/api/v1/devices/%69mport";

/// Leads whoever means the device `import`, and not the import of devices, to it. It has to be known
/// before the route of a request is.
pub(crate) fn lead<B>(request: &mut Request<B>) {
    let asks_a_device = [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE]
        .contains(request.method());
    if request.uri().path() != IMPORT || !asks_a_device {
        return;
    }
    let path = match request.uri().query() {
        Some(query) => PathAndQuery::try_from(format!("{DEVICE}?{query}")),
        None => Ok(PathAndQuery::from_static(DEVICE)),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_means_the_device_is_led_to_it() {
        let led = |method: Method, uri: &str| {
            let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
            lead(&mut request);
            request.uri().to_string()
        };
        assert_eq!(led(Method::GET, IMPORT), DEVICE);
        assert_eq!(led(Method::DELETE, &format!("{IMPORT}?a=1&b")), format!("{DEVICE}?a=1&b"));
        assert_eq!(
            led(Method::HEAD, &format!("https://here{IMPORT}")),
            format!("https://here{DEVICE}")
        );
        for (method, path) in [
            (Method::POST, IMPORT),
            (Method::OPTIONS, IMPORT),
            (Method::GET, "/api/v1/devices/import/why"),
            (Method::GET, "/api/v1/devices/imports"),
        ] {
            assert_eq!(led(method, path), path);
        }
    }
}
