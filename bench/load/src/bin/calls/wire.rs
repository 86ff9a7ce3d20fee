//! Just enough HTTP/1.1 for both ends, so that load and backend cost little themselves.

use std::io::{Error, ErrorKind, Result};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A kept-alive connection with what was read from it.
#[derive(Debug)]
pub(crate) struct Wire {
    buffer: Vec<u8>,
    /// How much of the buffer belongs to a message that was dealt with.
    done: usize,
    stream: TcpStream,
}

/// A message as it lies in the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) head: &'a [u8],
}

impl Message<'_> {
    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        let digits = self.head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }
}

impl Wire {
    /// A connection to an address.
    pub(crate) async fn open(address: &str) -> Result<Self> {
        Self::of(TcpStream::connect(address).await?)
    }

    /// A connection that was accepted.
    pub(crate) fn of(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { buffer: Vec::with_capacity(16 * 1024), done: 0, stream })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message, whole.
    pub(crate) async fn read(&mut self) -> Result<Message<'_>> {
        self.buffer.drain(..self.done);
        self.done = 0;
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let framing = framing(self.buffer.get(..head).unwrap_or_default());
        let end = match framing {
            Framing::Length(length) => head + length,
            Framing::Chunks => loop {
                let rest = self.buffer.get(head..).unwrap_or_default();
                if rest.ends_with(b"0\r\n\r\n") {
                    break self.buffer.len();
                }
                self.fill().await?;
            },
        };
        while self.buffer.len() < end {
            self.fill().await?;
        }
        self.done = end;
        let (head, body) = self.buffer.split_at(head);
        Ok(Message { body: body.get(..end - head.len()).unwrap_or_default(), head })
    }

    async fn fill(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }
}

enum Framing {
    Chunks,
    Length(usize),
}

fn framing(head: &[u8]) -> Framing {
    let mut length = 0;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = || String::from_utf8_lossy(value.get(1..).unwrap_or_default());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = value().trim().parse().unwrap_or_default();
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Framing::Chunks;
        }
    }
    Framing::Length(length)
}

/// Where a short text begins.
pub(crate) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
