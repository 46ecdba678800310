//! Each component is killed with -9, started again, and can be used again.

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use stack::components::{self, Cache, Installed};
use stack::ports::Ports;
use stack::progress::Progress;
use stack::scratch::Scratch;
use stack::{Kit, Stack};

async fn components_only() -> (Stack, Scratch) {
    let progress = Progress::silent();
    let cache = Cache::choose(std::env::var_os("EVERHOOK_CACHE_DIR").map(Into::into)).unwrap();
    let components = components::all(&cache, &Installed::from_environment(), &progress).await.unwrap();
    let (scratch, folder) = Scratch::new().await.unwrap();
    let stack = Stack::new(folder, Ports::free().unwrap(), Kit::Components(components), progress).unwrap();
    stack.start_all().await.unwrap();
    (stack, scratch)
}

async fn postgres(stack: &Stack) -> PgConnection {
    PgConnection::connect_with(&stack.superuser("postgres").unwrap()).await.unwrap()
}

fn kafka_cluster_id(stack: &Stack) -> String {
    let text = std::fs::read_to_string(stack.folder().of("kafka").join("data/meta.properties")).unwrap();
    text.lines().find(|line| line.starts_with("cluster.id=")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_is_killed_comes_back_with_its_data_and_a_wiped_one_without() {
    let (stack, _scratch) = components_only().await;
    let mut connection = postgres(&stack).await;
    sqlx::query("create table kept as select 7 as number").execute(&mut connection).await.unwrap();
    let cluster = kafka_cluster_id(&stack);

    for name in ["postgres", "kafka", "restate"] {
        let before = stack.pid(name).await.unwrap();
        stack.kill9(name).await.unwrap();
        assert_eq!(stack.pid(name).await, None);
        stack.start(name).await.unwrap();
        assert_ne!(stack.pid(name).await.unwrap(), before);
    }
    let number: i32 =
        sqlx::query_scalar("select number from kept").fetch_one(&mut postgres(&stack).await).await.unwrap();
    assert_eq!(number, 7);
    assert_eq!(kafka_cluster_id(&stack), cluster);

    let (_, key) = stack.secrets().identity_key().unwrap();
    let log = std::fs::read_to_string(stack.folder().log("restate")).unwrap();
    assert!(log.contains(&key), "Restate signs with another key than the one that the handlers are told");

    for name in ["kafka", "restate"] {
        let refused = stack.wipe(name).await.unwrap_err().to_string();
        assert!(refused.contains("runs"), "the data of a running {name} must not be removed: {refused}");
        stack.stop(name).await.unwrap();
        stack.wipe(name).await.unwrap();
        stack.start(name).await.unwrap();
    }
    assert_ne!(kafka_cluster_id(&stack), cluster);
    stack.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_is_told_with_its_cause_and_only_when_nobody_asked_for_it() {
    let (stack, _scratch) = components_only().await;
    stack.kill9("kafka").await.unwrap();
    let identity = stack::process::identity::Identity::of(stack.pid("restate").await.unwrap()).unwrap();
    let (died, _) = tokio::join!(stack.died(), async {
        assert!(identity.signal(rustix::process::Signal::KILL).unwrap());
    });
    let (name, status) = died.unwrap();
    assert_eq!((name.as_str(), stack::process::describe(status).as_str()), ("restate", "was killed by signal 9"));
    stack.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_what_was_started_after_somebody_began_to_watch_is_told_too() {
    let (stack, _scratch) = components_only().await;
    stack.kill9("restate").await.unwrap();
    let (died, ()) = tokio::join!(stack.died(), async {
        stack.start("restate").await.unwrap();
        let identity = stack::process::identity::Identity::of(stack.pid("restate").await.unwrap()).unwrap();
        assert!(identity.signal(rustix::process::Signal::KILL).unwrap());
    });
    assert_eq!(died.unwrap().0, "restate");
    stack.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgres_answers_nobody_until_it_is_let_go_on() {
    let (stack, _scratch) = components_only().await;
    let mut connection = postgres(&stack).await;
    let frozen = stack.freeze("postgres").await.unwrap();
    assert!(frozen.count() > 3, "its back ends stand still, too");
    let mut answer = std::pin::pin!(sqlx::query_scalar::<_, i32>("select 7").fetch_one(&mut connection));
    tokio::time::timeout(std::time::Duration::from_millis(500), &mut answer).await.unwrap_err();
    drop(frozen);
    assert_eq!(answer.await.unwrap(), 7);
    stack.stop_all().await.unwrap();
}
