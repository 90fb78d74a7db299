//! The command line and the client against a server.

mod faults;
mod listening;
mod login;
mod script;
mod upload;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, middleware, response::Response};
use groundswell::client::Client;

use crate::{
    operate::{Desk, Ending, groundswell},
    program::Ran,
};

/// The program as a server of a desk's state directory.
struct Serving {
    url: String,
    /// The token of its first admin.
    token: String,
    _process: Ending,
}

impl Serving {
    fn of(desk: &Desk) -> Self {
        Self::with(desk, &[])
    }

    fn with(desk: &Desk, args: &[&str]) -> Self {
        let mut command = groundswell(desk.path(), &["serve", "--listen", "127.0.0.1:0"]);
        command.args(args).arg("--data").arg(desk.state());
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map(Ending).unwrap();
        let (out, err) = (process.0.stdout.take().unwrap(), process.0.stderr.take().unwrap());
        let mut said = BufReader::new(err).lines();
        let said = said.find_map(|line| {
            let line = line.unwrap();
            line.split_once(" at http").map(|(_, rest)| rest.to_owned())
        });
        let url = format!("http{}", said.unwrap().split(';').next().unwrap());
        let mut token = String::new();
        BufReader::new(out).read_line(&mut token).unwrap();
        Self { url, token: token.trim().to_owned(), _process: process }
    }

    /// A command that is done by it.
    fn command(&self, desk: &Desk, args: &[&str]) -> Command {
        let mut command = groundswell(desk.path(), args);
        command.args(["--server", &self.url]).env("GROUNDSWELL_TOKEN", &self.token);
        command
    }

    fn run(&self, desk: &Desk, args: &[&str]) -> Ran {
        Ran::from(self.command(desk, args).output().unwrap())
    }
}

/// A server that is none of ours, in this process, and what it was asked.
struct Other {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Other {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Other {
    async fn start(router: Router) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let note = move |request: Request, next: middleware::Next| {
            let line = format!("{} {}", request.method(), request.uri());
            noted.lock().unwrap().push(line);
            async move { next.run(request).await }
        };
        let router = router.layer(middleware::from_fn(note));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, serving }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self) -> Client {
        Client::new(&self.url(), "gsw_a.b").unwrap()
    }

    /// What it was asked so far.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// An answer as it is.
fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<axum::body::Body>) -> Response {
    let response = headers.iter().fold(Response::builder().status(status), |response, header| {
        response.header(header.0, header.1)
    });
    response.body(body.into()).unwrap()
}

/// A problem as a server of ours tells it.
fn problem(status: u16, kind: &str, detail: &str, headers: &[(&str, &str)]) -> Response {
    let kind = format!("urn:groundswell:problem:{kind}");
    let body = serde_json::json!({"type": kind, "title": "t", "status": status, "detail": detail});
    let headers = [headers, &[("content-type", "application/problem+json")]].concat();
    answer(status, &headers, body.to_string())
}
