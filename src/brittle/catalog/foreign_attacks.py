"""What other libraries and papers call an attack, and what it is called here: a table that messages and docs read."""

from typing import NamedTuple

LIBRARIES = ("AutoAttack", "torchattacks", "foolbox", "ART", "adv_lib", "CleverHans")


class Attack(NamedTuple):
    """An attack of elsewhere. here: as typed, or nothing where there is none; why: what there is to know about that.

    field: what papers and people call it. The others: its names in each of ``LIBRARIES``, as written there.
    """

    here: str
    why: str
    field: str = ""
    autoattack: str = ""
    torchattacks: str = ""
    foolbox: str = ""
    art: str = ""
    adv_lib: str = ""
    cleverhans: str = ""

    @property
    def by_library(self) -> dict[str, list[str]]:
        """The names in each of ``LIBRARIES``."""
        return dict(zip(LIBRARIES, (names.split() for names in self[3:]), strict=True))


_TRANSFER = "made to transfer to networks that it has not seen; what is attacked here is asked itself"

ATTACKS_THERE: tuple[Attack, ...] = (
    Attack(
        "standard",
        "AutoAttack's ensemble, with brittle's own minimal attack in FAB's place",
        field="aa autoattack-standard robustbench",
        autoattack="AutoAttack",
        torchattacks="AutoAttack",
        art="AutoAttack",
    ),
    Attack("apgd", "as it is", field="auto-pgd apgd-ce", autoattack="apgd-ce", torchattacks="APGD"),
    Attack("apgd", "the norm is an option", art="AutoProjectedGradientDescent AutoConjugateGradient", adv_lib="apgd"),
    Attack("apgd,loss=dlr", "the loss is an option", autoattack="apgd-dlr", torchattacks="APGD_DLR PGDDLR"),
    Attack(
        "apgd,loss=dlr,targets=9",
        "the nine likeliest other classes in turn",
        field="apgd-targeted",
        autoattack="apgd-t",
        torchattacks="APGDT",
        adv_lib="apgd_targeted",
    ),
    Attack(
        "minimal",
        "the strongest minimal attack for the norm; standard has it where AutoAttack has FAB",
        field="fast-adaptive-boundary",
        autoattack="fab fab-t",
        torchattacks="FAB",
        art="FastAdaptiveBoundary",
        adv_lib="fab",
    ),
    Attack(
        "square",
        "norms l1, l2 and linf",
        autoattack="square",
        torchattacks="Square",
        art="SquareAttack",
    ),
    Attack(
        "fgsm",
        "the norm is an option",
        field="fgm fast-gradient",
        torchattacks="FGSM",
        foolbox="FGSM FGM LinfFastGradientAttack L2FastGradientAttack L1FastGradientAttack",
        art="FastGradientMethod",
        cleverhans="fast_gradient_method FastGradientMethod",
    ),
    Attack(
        "pgd",
        "it starts at the image unless random_start is set",
        field="bim i-fgsm ifgsm basic-iterative",
        torchattacks="BIM IFGSM",
        foolbox="LinfBasicIterativeAttack L1BasicIterativeAttack L2BasicIterativeAttack",
        art="BasicIterativeMethod",
        cleverhans="BasicIterativeMethod",
    ),
    Attack(
        "pgd,random_start=true",
        "here the start is the image by default; the norm is an option",
        field="madry projected-gradient",
        torchattacks="PGD",
        foolbox="PGD LinfPGD LinfProjectedGradientDescentAttack L1ProjectedGradientDescentAttack",
        art="ProjectedGradientDescent ProjectedGradientDescentPyTorch ProjectedGradientDescentNumpy",
        adv_lib="pgd_linf",
        cleverhans="projected_gradient_descent MadryEtAl",
    ),
    Attack(
        "pgd,norm=l2,random_start=true",
        "the norm is an option",
        field="pgd-l2",
        torchattacks="PGDL2",
        foolbox="L2PGD L2ProjectedGradientDescentAttack",
    ),
    Attack(
        "apgd,norm=l1",
        "its steps in L1 change few pixels",
        field="slide sparse-l1-descent",
        foolbox="SparseL1DescentAttack",
        cleverhans="sparse_l1_descent",
    ),
    Attack(
        "pgd,steps=1,random_start=true",
        "step_size is the length of the step",
        field="rs-fgsm fast-fgsm",
        torchattacks="RFGSM FFGSM",
    ),
    Attack(
        "pgd,momentum=1",
        "momentum is its decay",
        field="mim mi-fgsm momentum-iterative",
        torchattacks="MIFGSM",
        foolbox="MIFGSM LinfMomentumIterativeFastGradientMethod L2MomentumIterativeFastGradientMethod",
        art="MomentumIterativeMethod",
        cleverhans="MomentumIterativeMethod",
    ),
    Attack(
        "pgd,momentum=1",
        _TRANSFER,
        field="ni-fgsm di-fgsm ti-fgsm si-ni-fgsm vmi-fgsm",
        torchattacks="NIFGSM SINIFGSM DIFGSM TIFGSM VMIFGSM VNIFGSM PIFGSM PIFGSMPP Jitter UPGD LGV",
    ),
    Attack(
        "expectation,attack=pgd,samples=20",
        "any attack by gradients can be held, and samples is how often a random network is asked",
        field="eot eot-pgd",
        torchattacks="EOTPGD",
    ),
    Attack("pgd", "the loss is the log-odds against the label", field="trades-pgd", torchattacks="TPGD"),
    Attack(
        "minimal,norm=l2",
        "the strongest minimal attack in L2, without a constant to search for",
        field="cw c&w cw-l2 carlini carlini-wagner carlini-wagner-l2",
        torchattacks="CW CWL2",
        foolbox="L2CarliniWagnerAttack",
        art="CarliniL2Method",
        adv_lib="carlini_wagner_l2",
        cleverhans="carlini_wagner_l2 CarliniWagnerL2",
    ),
    Attack(
        "minimal,norm=linf",
        "the norm is an option",
        field="cw-linf",
        torchattacks="CWLinf",
        art="CarliniLInfMethod",
        adv_lib="carlini_wagner_linf",
    ),
    Attack("minimal,norm=l0", "the norm is an option", field="cw-l0", torchattacks="CWL0", art="CarliniL0Method"),
    Attack(
        "fmn",
        "it does in every norm what DDN does in L2",
        field="ddn decoupled-direction-norm",
        foolbox="DDNAttack",
        adv_lib="ddn",
    ),
    Attack(
        "fmn",
        "the norm is an option",
        field="fast-minimum-norm",
        torchattacks="FMN",
        foolbox="L1FMNAttack L2FMNAttack LInfFMNAttack",
        adv_lib="fmn",
    ),
    Attack("minimal,norm=l0", "fmn has no L0", field="fmn-l0", foolbox="L0FMNAttack"),
    Attack(
        "minimal,norm=l1",
        "the strongest minimal attack in L1",
        field="ead elastic-net ead-l1 ead-en",
        torchattacks="EADL1 EADEN",
        foolbox="EADAttack",
        art="ElasticNet",
        cleverhans="ElasticNetMethod",
    ),
    Attack(
        "minimal",
        "the strongest minimal attack for the norm, which walks along the boundary, too",
        field="brendel-bethge bb alma pdgd pdpgd trust-region boundary-projection",
        foolbox="L0BrendelBethgeAttack L1BrendelBethgeAttack L2BrendelBethgeAttack LinfinityBrendelBethgeAttack",
        art="BrendelBethgeAttack",
        adv_lib="alma pdgd pdpgd tr str_attack",
    ),
    Attack(
        "deepfool",
        "the norm is an option",
        torchattacks="DeepFool",
        foolbox="L2DeepFoolAttack LinfDeepFoolAttack",
        art="DeepFool",
        adv_lib="df",
        cleverhans="DeepFool",
    ),
    Attack(
        "deepfool",
        "it steps to the boundary in the same way",
        field="newton-fool",
        foolbox="NewtonFoolAttack",
        art="NewtonFool",
    ),
    Attack("superdeepfool", "as it is", field="super-deep-fool", adv_lib="sdf"),
    Attack("sparsefool", "as it is", torchattacks="SparseFool"),
    Attack("lbfgs", "as it is", field="l-bfgs szegedy", foolbox="LBFGSAttack", cleverhans="LBFGS"),
    Attack("sigma-zero", "as it is", field="sigma-0", adv_lib="sigma_zero"),
    Attack(
        "pixel-greedy",
        "the fewest pixels by gradients, each chosen by what the network says of it; minimal,norm=l0 is stronger",
        field="saliency-map",
        torchattacks="JSMA",
        foolbox="SaliencyMapAttack",
        art="SaliencyMapMethod",
        adv_lib="fga vfga",
        cleverhans="SaliencyMapMethod",
    ),
    Attack(
        "few-pixel,eps=1",
        "eps is the number of pixels; pixel-search needs fewer queries",
        field="one-pixel 1-pixel su",
        torchattacks="OnePixel",
        foolbox="SinglePixelAttack",
        art="PixelAttack",
    ),
    Attack("pixel-search", "the fewest queries for some pixels", torchattacks="Pixle", foolbox="LocalSearchAttack"),
    Attack("sparse-rs", "as it is", field="sparse-random-search rs-l0"),
    Attack(
        "hopskipjump",
        "decisions alone, in L2 and L-infinity",
        field="hsja boundary-attack-plus-plus",
        foolbox="HopSkipJumpAttack",
        art="HopSkipJump",
        cleverhans="hop_skip_jump_attack",
    ),
    Attack(
        "hopskipjump",
        "it asks for decisions alone, too",
        field="boundary sign-opt geoda qeba rays opt-attack",
        foolbox="BoundaryAttack PointwiseAttack GenAttack",
        art="BoundaryAttack GeoDA SignOPTAttack",
    ),
    Attack(
        "square",
        "it asks for scores alone, too",
        field="zoo simba nes bandits parsimonious",
        torchattacks="SPSA",
        art="ZooAttack SimBA ThresholdAttack",
        cleverhans="spsa SPSA",
    ),
    Attack(
        "craft",
        "the least visible change by CIEDE2000",
        field="perceptual",
        art="ShadowAttack",
        adv_lib="perc_al",
    ),
    Attack(
        "universal",
        "a fitter: `brittle fit universal,...` makes what `--attack perturbation,file=FILE` adds",
        field="uap universal-perturbation",
        art="UniversalPerturbation TargetedUniversalPerturbation",
    ),
    Attack(
        "",
        'random noise is no attack; `brittle run` with study = "noise" measures it',
        field="gaussian uniform-noise salt-and-pepper",
        torchattacks="GN",
        foolbox="L2AdditiveGaussianNoiseAttack LinfAdditiveUniformNoiseAttack SaltAndPepperNoiseAttack",
    ),
    Attack(
        "",
        "changes here are sizes in a norm, or how visible they are",
        field="patch spatial stadv wasserstein adef",
        foolbox="SpatialAttack GaussianBlurAttack InversionAttack L2ContrastReductionAttack",
        art="AdversarialPatch DPatch SpatialTransformation Wasserstein",
        cleverhans="SpatialTransformationMethod semantic",
    ),
    Attack("best-of", "several attacks, and of each image the best", field="multi", torchattacks="MultiAttack"),
)
