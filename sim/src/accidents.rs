//! Faults of nodes, of the database, of the chat service and of Genesys.

use std::sync::Arc;
use std::time::Duration;

use crate::process::Node;
use crate::spells::{Endpoint, GenesysFault};
use crate::world::{Conditions, World};

/// The longest lasting fault at Genesys, in milliseconds.
const LONGEST: u64 = 40_000;

/// Causes accidents until it is aborted.
pub(crate) async fn run(world: Arc<World>) {
    let every = world.plan.faults.accident_every;
    if every == 0 {
        return;
    }
    loop {
        tokio::time::sleep(world.between(1, 2 * every)).await;
        let (place, lasts) = (world.below(world.plan.nodes), world.between(50, 20_000));
        let world = Arc::clone(&world);
        match world.below(10) {
            0..=2 => {
                world.nodes()[place].kill(&world);
                tokio::spawn(start_later(world, place, lasts));
            }
            3..=4 => {
                world.nodes()[place].stop(&world, true);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    world.nodes()[place].stop(&world, false);
                });
            }
            5 => {
                world.nodes()[place].cut(&world, true);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    world.nodes()[place].cut(&world, false);
                });
            }
            6 => {
                let leaving = world.nodes()[place].leave(&world);
                if let Some(leaving) = leaving {
                    tokio::spawn(async move {
                        leaving.await;
                        start_later(world, place, Duration::from_millis(500)).await;
                    });
                }
            }
            7 => {
                world.tell("the database takes no writes");
                world.change(|weather| weather.database_full = true);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts / 2).await;
                    world.tell("the database takes writes again");
                    world.change(|weather| weather.database_full = false);
                });
            }
            8 => {
                world.tell("the chat service is away");
                world.change(|weather| weather.chat_away = true);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    world.tell("the chat service is back");
                    world.change(|weather| weather.chat_away = false);
                });
            }
            _ => {
                world.tell("Genesys answers 503");
                world.change(|weather| weather.genesys_away = true);
                tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    world.tell("Genesys answers again");
                    world.change(|weather| weather.genesys_away = false);
                });
            }
        }
    }
}

/// Steps the database's clock, and replaces the database's server, until it is aborted.
pub(crate) async fn servers(world: Arc<World>) {
    let every = world.plan.faults.server_every;
    if every == 0 {
        return;
    }
    loop {
        tokio::time::sleep(world.between(1, 2 * every)).await;
        if world.dice(0.5) {
            let far = if world.dice(0.5) { 10_000 } else { 3_600_000 };
            let by = i64::try_from(world.between(100, far).as_millis()).unwrap_or_default();
            let by = if world.dice(0.5) { by } else { -by };
            world.tell(format_args!("the database's clock is set ahead by {by} ms"));
            world.database.step_clock(by);
        } else {
            let lacks = world.between(0, 8_000);
            world.tell(format_args!(
                "another server is the database, and lacks {lacks:?} of the leases"
            ));
            world.change(|weather| weather.leases_lost = true);
            world.database.promote(lacks);
            // No node can take over anything before it has observed this server for as long as a
            // lease lasts.
            world.nodes().iter_mut().for_each(Node::unfit);
        }
    }
}

/// Starts lasting faults at Genesys until it is aborted.
pub(crate) async fn spells(world: Arc<World>) {
    let every = world.plan.faults.spells_every;
    if every == 0 {
        return;
    }
    loop {
        tokio::time::sleep(world.between(1, 2 * every)).await;
        let endpoint = Endpoint::ALL[world.below(Endpoint::ALL.len())];
        let trouble = GenesysFault::ALL[world.below(GenesysFault::ALL.len())];
        let (now, lasts) = (world.passed(), world.between(500, LONGEST));
        if world.genesys().spells.begin(endpoint, trouble, now, lasts) {
            world.tell(format_args!("genesys   {endpoint:?}: {trouble:?} for {lasts:?}"));
        }
    }
}

/// Restarts dead nodes, until it is aborted.
pub(crate) async fn raise(world: Arc<World>) {
    loop {
        tokio::time::sleep(world.between(500, 5_000)).await;
        for place in 0..world.plan.nodes {
            start(&world, place);
        }
    }
}

async fn start_later(world: Arc<World>, place: usize, pause: Duration) {
    tokio::time::sleep(pause).await;
    start(&world, place);
}

fn start(world: &Arc<World>, place: usize) {
    let mut nodes = world.nodes();
    if !nodes[place].runs() {
        nodes[place].start(world, place);
    }
}

/// Ends all faults, and makes every node run.
pub(crate) fn calm(world: &Arc<World>) {
    world.tell("it is calm from here on");
    world.change(|weather| {
        *weather =
            Conditions { calm: true, leases_lost: weather.leases_lost, ..Default::default() };
    });
    for place in 0..world.plan.nodes {
        let mut nodes = world.nodes();
        nodes[place].stop(world, false);
        nodes[place].cut(world, false);
        if !nodes[place].runs() {
            nodes[place].start(world, place);
        }
    }
}
