"""What other libraries call an option, and what it is called here: a table that messages and docs read."""

from typing import NamedTuple


class Option(NamedTuple):
    """An option of elsewhere. there: its names; here: ours, of which an attack has the first that it knows.

    why: what to say where the attack has none of them.
    """

    there: str
    here: str
    why: str = ""


OPTIONS_THERE: tuple[Option, ...] = (
    Option("epsilon epsilons max_eps eps_max max_norm max_perturbation radius budget magnitude pixels", "eps"),
    Option(
        "alpha stepsize step abs_stepsize rel_stepsize eps_step eps_iter lr learning_rate stepsize_abs",
        "step_size lr rate",
    ),
    Option(
        "iterations iters iter n_iter n_iters nb_iter num_iter num_iters max_iter max_iters maxiter max_iterations"
        " num_steps n_steps nb_steps num_iterations n_iterations",
        "steps max_steps queries generations passes epochs",
    ),
    Option("n_queries nb_queries num_queries max_queries query_limit query_budget max_eval max_evals", "queries"),
    Option("p ord order lp norm_type p_norm distance metric threat_model", "norm"),
    Option("random_init rand_init rs random randomize init_random", "random_start"),
    Option("decay decay_factor mu", "momentum"),
    Option("n_target_classes num_targets n_targets nb_targets", "targets"),
    Option("num_classes n_classes nb_grads n_candidates topk num_candidates", "candidates targets"),
    Option("popsize pop_size population_size", "population"),
    Option("p_init", "p"),
    Option("minimizer optimizer", "optimiser"),
    Option("const initial_const c0", "c weight"),
    Option("clip clip_min clip_max clip_values bounds clamp", "box", "pixels always stay in [0, 1]"),
    Option("kappa confidence", "confidence", "an attack ends at the first success; craft has a confidence to reach"),
    Option("eot_iter eot n_samples eot_samples", "samples", "expectation,attack=NAME(...),samples=N asks N times"),
    Option(
        "n_restarts nb_restarts num_restarts restarts nb_random_init num_random_init",
        "times",
        "restarts,attack=NAME(...),times=N runs an attack N times",
    ),
    Option(
        "targeted target target_class y_target y",
        "",
        "the goal says it: --target CLASS, or brittle.Targeted(labels)",
    ),
    Option("seed random_seed", "", "it belongs to the run: --seed, or seed= of brittle.attack and brittle.audit"),
    Option("device batch_size", "", "it belongs to the classifier: --device, --batch-size, or brittle.Network(...)"),
    Option(
        "model model_fn net network classifier estimator",
        "",
        "an attack is made without a classifier: brittle.attack(classifier, images, labels, attack)",
    ),
    Option("verbose version attacks_to_run loss_type abort_early", "", "there is no such choice here"),
)
