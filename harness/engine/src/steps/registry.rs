//! The macro behind the list of steps.

/// Makes one enum of all actions, the struct that a scenario file is read into, and what can be derived from the list.
macro_rules! steps {
    (
        $( $(#[$doc:meta])+ $field:ident: $type:ident, )+
        not in files:
        $( $(#[$internal_doc:meta])+ $internal:ident, )+
    ) => {
        /// What a step does.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Action {
            $( $(#[$doc])+ $type($type), )+
            $( $(#[$internal_doc])+ $internal($internal), )+
        }

        /// A step: exactly one action, and what limits it.
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        #[schemars(rename = "Step", transform = exactly_one)]
        pub(crate) struct StepEntry {
            /// The only arm in which the step is taken.
            pub(crate) arm: Option<Arm>,
            /// How long its rollout may take, seconds.
            #[schemars(range(min = 1, max = 600))]
            pub(crate) within_seconds: Option<u16>,
            $( $(#[$doc])+ $field: Option<$type>, )+
        }

        /// The names of the actions, as the fields are called in Rust.
        const FIELDS: &[&str] = &[$(stringify!($field)),+];

        impl StepEntry {
            /// The action; none when there is not exactly one.
            pub(crate) fn action(&self) -> Option<Action> {
                let all = [$(self.$field.clone().map(Action::$type)),+];
                let mut given = all.into_iter().flatten();
                given.next().filter(|_| given.next().is_none())
            }
        }

        impl StepAction for Action {
            fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
                match self {
                    $( Self::$type(action) => action.plan(planner), )+
                    $( Self::$internal(action) => action.plan(planner), )+
                }
            }

            async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
                match self {
                    $( Self::$type(action) => Box::pin(action.run(step, context)).await, )+
                    $( Self::$internal(action) => Box::pin(action.run(step, context)).await, )+
                }
            }

            fn expected(&self, last: bool) -> Duration {
                match self {
                    $( Self::$type(action) => action.expected(last), )+
                    $( Self::$internal(action) => action.expected(last), )+
                }
            }

            fn suits_existing_clusters(&self) -> bool {
                match self {
                    $( Self::$type(action) => action.suits_existing_clusters(), )+
                    $( Self::$internal(action) => action.suits_existing_clusters(), )+
                }
            }
        }
    };
}

pub(super) use steps;
