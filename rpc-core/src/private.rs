//! What generated code touches. Not for programs: it changes without notice.

pub use crate::{
    args::{
        read::{ReadBytes, ReadNothing, ReadReferent, ReadSlice, ReadValue, Slot},
        write::{Out, WriteBytes, WriteNothing, WriteValue, Writer},
    },
    codec::Codec,
    handler::{Handler, Request, ServiceDef, args, bind, codec, handle, without_args},
    reply::{DecodeNothing, DecodeReply, EncodeNothing, EncodeReply, Expected, Returned, returns},
    service::{
        ArgMeta, Contract, Make, MethodMeta, Probe, Registration, ServiceMeta, ViaDefault,
        ViaNothing, check, init, method, method_id, service_id,
    },
};
pub use inventory;
pub use std::sync::Arc;
