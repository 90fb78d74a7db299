//! The peer: takes a body, writes it to a file, and makes that durable.

use std::path::{Path, PathBuf};

use axum::{Router, body::Body, extract::State, http::StatusCode, routing::put};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;

pub(crate) fn sink(port: u16, dir: &Path) -> ! {
    let router = Router::new().route("/", put(take)).with_state(dir.join("sunk"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    unreachable!("it serves until it is killed");
}

async fn take(State(path): State<PathBuf>, mut body: Body) -> StatusCode {
    let file = tokio::fs::File::create(&path).await.unwrap();
    // As much at once as the server gathers.
    let mut file = tokio::io::BufWriter::with_capacity(1 << 20, file);
    while let Some(frame) = body.frame().await {
        file.write_all(&frame.unwrap().into_data().unwrap()).await.unwrap();
    }
    file.flush().await.unwrap();
    file.get_ref().sync_all().await.unwrap();
    drop(file);
    tokio::fs::remove_file(&path).await.unwrap();
    StatusCode::CREATED
}
