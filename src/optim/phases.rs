//! The two phases of an update, as coefficients cast once per step and run on one block after the other.

use super::{
    Hyper,
    adagrad::Adagrad,
    adam::Adam,
    apply::Apply,
    hyper::Rule,
    lamb::{self, Lamb},
    lars,
    rmsprop::Rmsprop,
    sgd::{Velocity, add_l2},
};

/// What must come before norms are exchanged: the penalty, and the state of the rules that do not ask for the rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prepare {
    /// 0 for lars, which has λ inside of its local rate.
    l2: f32,
    turn: Turn,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Momentum comes in the second phase, as Caffe's form asks for the rate and lars for the norms.
    Later,
    Adagrad(Adagrad),
    Rmsprop(Rmsprop),
    Adam(Adam),
    Lamb(Lamb),
}

impl Prepare {
    /// `step` counts from 1, λ is that of the options over `l2_divisor`.
    pub(super) fn new(hyper: &Hyper, step: u64, l2_divisor: f64) -> Self {
        let turn = match &hyper.rule {
            Rule::Sgd(_) | Rule::Lars { .. } => Turn::Later,
            Rule::Adagrad { eps, form, .. } => Turn::Adagrad(Adagrad { eps: *eps as f32, form: *form }),
            Rule::Rmsprop { alpha, eps, form, momentum } => {
                Turn::Rmsprop(Rmsprop::new(*alpha, (*eps, *form), *momentum))
            }
            Rule::Adam(moments) => Turn::Adam(Adam::new(moments, step)),
            Rule::Lamb(moments) => Turn::Lamb(Lamb::new(moments, hyper.weight_decay, step)),
        };
        let l2 = if matches!(hyper.rule, Rule::Lars { .. }) { 0.0 } else { (hyper.l2 / l2_divisor) as f32 };
        Self { l2, turn }
    }

    /// The same, without penalties if so said.
    pub(super) fn sparing(mut self, spared: bool) -> Self {
        if spared {
            self.l2 = 0.0;
            if let Turn::Lamb(rule) = &mut self.turn {
                *rule = rule.without_decay();
            }
        }
        self
    }

    #[inline(always)]
    pub(super) fn run(self, params: &[f32], grads: &mut [f32], [first, second]: [&mut [f32]; 2]) {
        if self.l2 != 0.0 {
            add_l2(self.l2, params, grads);
        }
        match self.turn {
            Turn::Later => {}
            Turn::Adagrad(rule) => rule.turn(grads, first),
            Turn::Rmsprop(rule) => rule.turn(grads, first, second),
            Turn::Adam(rule) => rule.turn(grads, first, second),
            Turn::Lamb(rule) => rule.turn(params, grads, [first, second]),
        }
    }
}

/// What comes once norms are known: the rest of the direction, and the params.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish<'a> {
    rule: &'a Rule,
    rate: f64,
    l2: f64,
    /// The tensor's local rate, for lars alone.
    local: Option<f32>,
    velocity: Velocity,
    apply: Apply,
}

impl<'a> Finish<'a> {
    /// `step` counts from 1, λ is that of the options over `l2_divisor`.
    pub(super) fn new(hyper: &'a Hyper, step: u64, rate: f64, l2_divisor: f64) -> Self {
        let velocity = Velocity::new(&hyper.rule, rate);
        let step_rate = match &hyper.rule {
            Rule::Adam(moments) => Adam::step_rate(moments, step, rate),
            _ => velocity.step_rate(rate),
        };
        let apply = Apply::new(hyper, rate, step_rate);
        Self { rule: &hyper.rule, rate, l2: hyper.l2 / l2_divisor, local: None, velocity, apply }
    }

    /// The same, without penalties if so said.
    pub(super) fn sparing(mut self, spared: bool) -> Self {
        if spared {
            self.l2 = 0.0;
            self.apply = self.apply.without_decay();
        }
        self
    }

    /// The same for one tensor, whose ‖w‖² and ‖g‖² (lars) or ‖w‖² and ‖u‖² (lamb) are given.
    pub(super) fn for_tensor(mut self, squares: [f64; 2]) -> Self {
        match self.rule {
            Rule::Lars { trust_coefficient, .. } => {
                self.local = Some(lars::local_rate(*trust_coefficient, self.l2, squares) as f32);
            }
            Rule::Lamb(_) => self.apply.rate = (self.rate * lamb::trust_ratio(squares)) as f32,
            _ => {}
        }
        self
    }

    #[inline(always)]
    pub(super) fn run(self, params: &mut [f32], grads: &mut [f32], [first, _]: [&mut [f32]; 2]) {
        if let Some(local) = self.local {
            lars::localise(local, self.l2 as f32, params, grads);
        }
        self.velocity.turn(grads, first);
        self.apply.run(params, grads);
    }
}
