//! TCP echo: numbers are sent in a stream and return in the same order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use model::Class;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::held::{Answer, Link};
use super::{failure, source_port};
use crate::exchange::NUMBER;
use crate::flow::FlowSpec;

/// A TCP connection to an echo server.
pub(crate) struct Echo {
    stream: TcpStream,
    /// Bytes of a frame: a number, then zeros.
    frame: usize,
    /// Bytes that the kernel has not accepted yet.
    out: Vec<u8>,
    /// Echoed bytes of an incomplete frame.
    back: Vec<u8>,
    /// The numbers that must return, in order.
    expected: VecDeque<u32>,
}

/// Opens a TCP connection.
pub(crate) async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = source_port::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Link for Echo {
    async fn open(flow: Rc<FlowSpec>, target: SocketAddr) -> Result<Self, Class> {
        let stream = connect(target).await.map_err(|error| failure::class_of(&error))?;
        Ok(Self::over(stream, flow.bytes.into()))
    }

    fn is_free(&self) -> bool {
        true
    }

    fn send(&mut self, seq: u32) -> Result<(), Class> {
        self.out.extend(seq.to_be_bytes());
        self.out.extend(std::iter::repeat_n(0, self.frame - NUMBER));
        self.expected.push_back(seq);
        self.write()
    }

    async fn answer(&mut self) -> Result<Answer, Class> {
        loop {
            if let Some((frame, _rest)) = self.back.split_at_checked(self.frame)
                && let Some(seq) = frame.first_chunk()
            {
                let right = self.expected.pop_front() == Some(u32::from_be_bytes(*seq));
                self.back.drain(..self.frame);
                return Ok(if right { Answer::Right } else { Answer::Other(Class::WrongAnswer) });
            }
            let (mut reading, writing) = self.stream.split();
            let failed = |error: io::Error| failure::class_of(&error);
            tokio::select! {
                biased;
                read = reading.read_buf(&mut self.back) => {
                    if read.map_err(failed)? == 0 {
                        return Err(Class::Closed);
                    }
                }
                writable = writing.writable(), if !self.out.is_empty() => {
                    writable.map_err(failed)?;
                    self.write()?;
                }
            }
        }
    }
}

impl Echo {
    /// Uses an open connection, in frames of this many bytes, or as many as a number needs.
    pub(crate) fn over(stream: TcpStream, bytes: usize) -> Self {
        let frame = bytes.max(NUMBER);
        Self { stream, frame, out: Vec::new(), back: Vec::new(), expected: VecDeque::new() }
    }

    fn write(&mut self) -> Result<(), Class> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(taken) => drop(self.out.drain(..taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(failure::class_of(&error)),
            }
        }
        Ok(())
    }
}
