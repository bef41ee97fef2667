//! Parses queries and builds answers.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};

use super::zone::{Found, Zone};

/// Short, since Services change during a run.
const TTL: u32 = 5;

/// Answers one query; `None` when it is malformed.
pub(super) fn answer(zone: &Zone, query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.authoritative = true;
    let Some(asked) = query.queries.first() else {
        response.metadata.response_code = ResponseCode::FormErr;
        return response.to_vec().ok();
    };
    response.add_query(asked.clone());
    match zone.find(&asked.name().to_ascii()) {
        Found::Addresses(addresses) if asked.query_type() == RecordType::A => {
            for address in addresses {
                response.add_answer(Record::from_rdata(asked.name().clone(), TTL, RData::A(A(address))));
            }
        }
        Found::Addresses(_) => {}
        Found::Nothing => response.metadata.response_code = ResponseCode::NXDomain,
        Found::NotOurs => response.metadata.response_code = ResponseCode::Refused,
    }
    response.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;
    use serde_json::json;

    use super::*;

    fn ask(name: &str, kind: RecordType) -> Message {
        let mut zone = Zone::default();
        let service =
            json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": {"clusterIP": "10.96.1.2"}});
        zone.set_service(serde_json::from_value(service).unwrap());
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let bytes = answer(&zone, &query.to_vec().unwrap()).unwrap();
        let response = Message::from_vec(&bytes).unwrap();
        assert_eq!(response.metadata.id, query.metadata.id);
        response
    }

    #[test]
    fn known_name_has_its_address_and_no_ipv6_one() {
        let response = ask("web.ns.svc.cluster.local.", RecordType::A);
        assert_eq!(response.answers[0].data, RData::A(A([10, 96, 1, 2].into())));
        let response = ask("web.ns.svc.cluster.local.", RecordType::AAAA);
        assert_eq!((response.metadata.response_code, response.answers.len()), (ResponseCode::NoError, 0));
    }

    #[test]
    fn unknown_and_foreign_names_differ() {
        let code = |name| ask(name, RecordType::A).metadata.response_code;
        assert_eq!(code("no.ns.svc.cluster.local."), ResponseCode::NXDomain);
        assert_eq!(code("example.org."), ResponseCode::Refused);
    }

    #[test]
    fn garbage_is_not_answered() {
        assert!(answer(&Zone::default(), b"x").is_none());
    }
}
