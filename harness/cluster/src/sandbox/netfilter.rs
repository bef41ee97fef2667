//! Enables and disables an nftables table of this network namespace in one message to the kernel.
//!
//! `nft` takes tens of milliseconds to start, read the ruleset and commit. This takes tens of microseconds, so that the time
//! at which rules take effect is known with that precision.

use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, socket,
};

// From linux/netlink.h, linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const DORMANT: u32 = 1;
/// Length of a netlink header.
const HEADER: usize = 16;

/// Disables the rules of an existing table of the family `inet`, or enables them again.
///
/// # Errors
/// When there is no such table, or the kernel refuses.
pub(super) fn set_dormant(table: &str, dormant: bool) -> std::io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    send(socket.as_raw_fd(), &batch(table, dormant), MsgFlags::empty())?;
    acknowledged(&socket)
}

/// One transaction: the table with its new flags.
fn batch(table: &str, dormant: bool) -> Vec<u8> {
    let mut attributes = attribute(TABLE_NAME, &[table.as_bytes(), b"\0"].concat());
    attributes.extend(attribute(TABLE_FLAGS, &(if dormant { DORMANT } else { 0 }).to_be_bytes()));
    [
        message(BATCH_BEGIN, NLM_F_REQUEST, 1, NFPROTO_UNSPEC, SUBSYSTEM, &[]),
        message(NEW_TABLE, NLM_F_REQUEST | NLM_F_ACK, 2, NFPROTO_INET, 0, &attributes),
        message(BATCH_END, NLM_F_REQUEST, 3, NFPROTO_UNSPEC, SUBSYSTEM, &[]),
    ]
    .concat()
}

fn message(kind: u16, flags: u16, sequence: u32, family: u8, resource: u16, payload: &[u8]) -> Vec<u8> {
    let length = (HEADER + 4 + payload.len()) as u32;
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Reads the response of the kernel; 0 means success.
fn acknowledged(socket: &OwnedFd) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty())?;
    let answer = &bytes[..length];
    let field = |from: usize, to: usize| answer.get(from..to).unwrap_or_default();
    match (field(4, 6).try_into().map(u16::from_ne_bytes), field(HEADER, HEADER + 4).try_into()) {
        (Ok(NLMSG_ERROR), Ok(code)) => match i32::from_ne_bytes(code) {
            0 => Ok(()),
            code => Err(Error::from_raw_os_error(-code)),
        },
        _ => Err(Error::new(
            ErrorKind::InvalidData,
            "the response of the kernel to a change of rules is unknown",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_has_three_aligned_messages_and_names_the_table() {
        let bytes = batch("faults", true);
        let mut kinds = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let length = u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!(length % 4, 0, "messages start at multiples of four");
            kinds.push(u16::from_ne_bytes(bytes[at + 4..at + 6].try_into().unwrap()));
            at += length;
        }
        assert_eq!(kinds, [BATCH_BEGIN, NEW_TABLE, BATCH_END]);
        assert!(bytes.windows(7).any(|window| window == b"faults\0"));
    }
}
