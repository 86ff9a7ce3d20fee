//! A connection that speaks just enough HTTP/1.1, so that the load costs little itself.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One kept-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `host:port`.
    pub(crate) host: String,
    buffer: Vec<u8>,
    stream: Option<TcpStream>,
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) status: u16,
}

impl Connection {
    pub(crate) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), buffer: Vec::with_capacity(16 * 1024), stream: None }
    }

    /// Sends one request and reads its answer; a connection that the server closed in between is
    /// opened again, once.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer, String> {
        if self.stream.is_some()
            && let Ok(answer) = self.try_send(request).await
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(&self.host).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        self.stream = Some(stream);
        self.try_send(request).await.map_err(|error| error.to_string())
    }

    async fn try_send(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        let Some(mut stream) = self.stream.take() else {
            return Err(std::io::ErrorKind::NotConnected.into());
        };
        stream.write_all(request).await?;
        self.buffer.clear();
        let (mut answer, begin) = loop {
            read(&mut stream, &mut self.buffer).await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        let header = |name: &str| answer.header(name).map(str::to_ascii_lowercase);
        let closes = header("connection").is_some_and(|value| value == "close");
        if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            answer.body = chunked(&mut stream, &mut self.buffer, begin).await?;
        } else {
            let length = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            while self.buffer.len() < begin + length {
                read(&mut stream, &mut self.buffer).await?;
            }
            answer.body = self.buffer.get(begin..begin + length).unwrap_or_default().to_vec();
        }
        if !closes {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What went wrong, in one line.
    pub(crate) fn refusal(&self) -> String {
        format!("{} {}", self.status, self.text().chars().take(300).collect::<String>())
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Status and headers with the place where the body begins, once they are complete.
fn head(buffer: &[u8]) -> std::io::Result<Option<(Answer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed =
        response.parse(buffer).map_err(|error| std::io::Error::other(error.to_string()))?;
    let httparse::Status::Complete(begin) = parsed else { return Ok(None) };
    let headers = response
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()));
    let headers = headers.collect();
    let status = response.code.unwrap_or_default();
    Ok(Some((Answer { body: Vec::new(), headers, status }, begin)))
}

async fn chunked(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    mut begin: usize,
) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let rest = buffer.get(begin..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            read(stream, buffer).await?;
            continue;
        };
        let size = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let from = begin + end + 2;
        while buffer.len() < from + size + 2 {
            read(stream, buffer).await?;
        }
        body.extend_from_slice(buffer.get(from..from + size).unwrap_or_default());
        begin = from + size + 2;
        if size == 0 {
            return Ok(body);
        }
    }
}
