//! What happens to nodes and to what is around them, until it is calm.

use std::sync::Arc;
use std::time::Duration;

use crate::world::World;

/// Lets accidents happen until it is told to stop.
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

/// Starts what died, whoever killed it.
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

/// No more faults, and every node runs.
pub(crate) fn calm(world: &Arc<World>) {
    world.tell("it is calm from here on");
    world.change(|weather| *weather = crate::world::Weather { calm: true, ..Default::default() });
    for place in 0..world.plan.nodes {
        let mut nodes = world.nodes();
        nodes[place].stop(world, false);
        nodes[place].cut(world, false);
        if !nodes[place].runs() {
            nodes[place].start(world, place);
        }
    }
}
