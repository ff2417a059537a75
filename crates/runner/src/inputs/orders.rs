//! Orders that stop an attempt from outside: a user's, a lost lease, or a signal.
//! An order is a state that every step checks, and a more urgent order replaces it.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Pause,
    Cancel,
    LeaseLost,
    Shutdown,
}

#[derive(Clone, Debug)]
pub(crate) struct Orders(watch::Sender<Option<Order>>);

impl Orders {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn set(&self, order: Order) {
        self.0.send_if_modified(|current| std::mem::replace(current, (*current).max(Some(order))) < Some(order));
    }

    pub(crate) async fn wait_any(&self) -> Order {
        self.wait_at_least(Order::Pause).await
    }

    /// Waits for an order that stops even a push. A cancel does not.
    pub(crate) async fn wait_abort(&self) -> Order {
        self.wait_at_least(Order::LeaseLost).await
    }

    pub(crate) async fn wait_at_least(&self, min: Order) -> Order {
        let mut orders = self.0.subscribe();
        match orders.wait_for(|order| *order >= Some(min)).await.map(|order| *order) {
            Ok(Some(order)) => order,
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn higher_order_replaces_a_lower_one_only() {
        let orders = Orders::new();
        orders.set(Order::Pause);
        assert_eq!(orders.wait_any().await, Order::Pause);
        orders.set(Order::Cancel);
        assert_eq!(orders.wait_any().await, Order::Cancel);
        orders.set(Order::LeaseLost);
        orders.set(Order::Cancel);
        assert_eq!(orders.wait_abort().await, Order::LeaseLost);
    }

    #[test]
    fn order_below_the_awaited_level_ends_no_wait() {
        let orders = Orders::new();
        assert_eq!(orders.wait_any().now_or_never(), None);
        for (order, min) in
            [(Order::Pause, Order::Cancel), (Order::Cancel, Order::LeaseLost), (Order::LeaseLost, Order::Shutdown)]
        {
            orders.set(order);
            assert_eq!(orders.wait_at_least(order).now_or_never(), Some(order));
            assert_eq!(orders.wait_at_least(min).now_or_never(), None, "{order:?}");
            assert_eq!(orders.wait_abort().now_or_never().is_some(), order == Order::LeaseLost, "{order:?}");
        }
    }
}
