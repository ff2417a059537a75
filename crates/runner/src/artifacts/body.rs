//! Streams a file as the body of a request, so that a large file takes no memory.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

const CHUNK_BYTES: usize = 64 * 1024;

pub(super) struct FileBody {
    file: File,
    remaining: u64,
    buffer: Vec<u8>,
}

impl FileBody {
    pub(super) fn new(file: File, size: u64) -> Self {
        Self { file, remaining: size, buffer: vec![0; CHUNK_BYTES] }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let body = self.get_mut();
        if body.remaining == 0 {
            return Poll::Ready(None);
        }
        let mut piece = ReadBuf::new(&mut body.buffer);
        if let Err(error) = ready!(Pin::new(&mut body.file).poll_read(cx, &mut piece)) {
            return Poll::Ready(Some(Err(error)));
        }
        let read = piece.filled();
        if read.is_empty() {
            // The file became shorter than announced.
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        // The file may have become longer. Only the announced size is sent.
        let length = usize::try_from(body.remaining).unwrap_or(usize::MAX).min(read.len());
        body.remaining = body.remaining.saturating_sub(length as u64);
        let bytes = Bytes::copy_from_slice(read.get(..length).unwrap_or_default());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn read_body(content: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        let mut body = FileBody::new(File::open(&path).await.unwrap(), size);
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            all.extend(frame?.into_data().unwrap_or_default());
        }
        Ok(all)
    }

    #[tokio::test]
    async fn body_has_the_announced_size_or_fails() {
        let large: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        assert_eq!(read_body(&large, 200_000).await.unwrap(), large);
        assert_eq!(read_body(b"longer than said", 6).await.unwrap(), b"longer");
        assert_eq!(read_body(b"short", 6).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read_body(b"", 0).await.unwrap(), b"");
    }
}
