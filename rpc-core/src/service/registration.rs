//! The impls that `#[rpc_service]` collected from everything that is linked in.

use super::{
    BoundService, ServiceMeta,
    provide::{Instance, Provided},
};
use crate::{SetupError, future::BoxFuture};
use std::{any::TypeId, fmt, sync::Arc};

/// One `#[rpc_service]` impl.
pub struct Registration {
    /// The file of the impl.
    pub file: &'static str,
    /// Its line.
    pub line: u32,
    /// The type's name.
    pub type_name: fn() -> &'static str,
    /// The type of its instances.
    pub instance_type: fn() -> TypeId,
    /// The contract.
    pub meta: fn() -> &'static ServiceMeta,
    /// How an instance is made when none was handed over.
    pub make: Make,
    /// The instance as this service; `None` if it is of another type.
    pub bind: fn(Instance) -> Option<Arc<dyn BoundService>>,
}

/// How an instance is made.
#[derive(Clone, Copy)]
pub enum Make {
    /// By the function of `#[rpc_service(init = ..)]`.
    Init {
        /// The function's path as written.
        path: &'static str,
        /// Calls it; the error is a text for the user.
        call: fn(&Provided) -> BoxFuture<'static, Result<Instance, String>>,
    },
    /// By `Default`, if the type has it.
    Default(fn() -> Option<Instance>),
}

inventory::collect!(Registration);

/// All there are, sorted by service, type and place: their own order differs between builds.
pub fn registrations() -> Vec<&'static Registration> {
    let mut all: Vec<_> = inventory::iter::<Registration>.into_iter().collect();
    all.sort_by_key(|r| ((r.meta)().registered, (r.type_name)(), r.file, r.line));
    all
}

impl Registration {
    /// The type's name.
    pub fn type_name(&self) -> &'static str {
        (self.type_name)()
    }

    /// The type of its instances.
    pub fn instance_type(&self) -> TypeId {
        (self.instance_type)()
    }

    /// The contract.
    pub fn meta(&self) -> &'static ServiceMeta {
        (self.meta)()
    }

    /// Whether the impl names an `init` function.
    pub fn has_init(&self) -> bool {
        self.init_path().is_some()
    }

    /// The `init` function as written. Two of one type that differ are a mistake.
    pub fn init_path(&self) -> Option<&'static str> {
        match self.make {
            Make::Init { path, .. } => Some(path),
            Make::Default(_) => None,
        }
    }

    /// Makes an instance by `init` or else by `Default`.
    ///
    /// # Errors
    ///
    /// A value that `init` takes and nobody provided, its own error, or neither `init` nor
    /// `Default`; the text names the type, the place and what to do.
    pub async fn make(&self, provided: &Provided) -> Result<Instance, SetupError> {
        let made = match self.make {
            Make::Init { call, .. } => call(provided).await,
            Make::Default(make) => make().ok_or_else(|| NO_INSTANCE.to_owned()),
        };
        made.map_err(|why| SetupError::new(format!("{self}: {why}")))
    }

    /// The instance as this service; `None` if it is of another type.
    pub fn bind(&self, instance: Instance) -> Option<Arc<dyn BoundService>> {
        (self.bind)(instance)
    }
}

const NO_INSTANCE: &str = "there is no instance of it: derive `Default`, hand one over with \
    `.service(..)`, or name a constructor with `#[rpc_service(init = ..)]`";

/// Names the impl: type, service and place.
impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ty, service) = (self.type_name(), self.meta().registered);
        write!(f, "`{ty}` (serves {service}, {}:{})", self.file, self.line)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({self})")
    }
}

impl fmt::Debug for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init { path, .. } => write!(f, "Init({path})"),
            Self::Default(_) => f.write_str("Default"),
        }
    }
}
