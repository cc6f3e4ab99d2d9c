/* tests/model/lease.pml -- lease, fence, epoch, promotion and sync set of one group, for an
 * exhaustive search by spin. Run by tests/model/run, which also builds the mutants.
 *
 * WHAT IT IS. One group in mode `required`, two data instances (0 and 1) with an agent each,
 * three controllers. One transition is one committed entry (apply() with its refusals), one
 * effect of a keeper, one act of a step runner, one fault, or one tick of real time; all
 * interleavings are searched. It begins steady in epoch 1, instance 0 active under a lease.
 *
 * Log:     one atomic sequence: an entry commits and changes the state at once. EVERY
 *          controller may lead at ANY time, several at once: whatever apply() accepts may be
 *          committed at any moment, and a fence_begin needs no reason. That is more than a
 *          cluster can do, and contains every election, stale leader and missing barrier.
 *          What a leader knows beyond the log is what its own process counted (`tm`, `pexp`).
 * Network: whatever was sent stays on its way and may be delivered at any later time, any
 *          number of times, in any order, or never. What is derived from committed facts
 *          (assignments, orders) may arrive in every version that ever was committed and
 *          addressed to the life that gets it: so a stale leader's commands come late. Of
 *          renewals, answers, proofs and reports one of a kind is kept for each instance; a
 *          later one takes its place, or is not sent.
 * Time:    real ticks. A lease lasts LMAX at most, since it was SENT; by a fast clock of its
 *          host it may be over from LMIN on. A controller counts WAIT ticks at least from its
 *          own apply() (its clock may be the fastest), and may take longer. The drift that
 *          lies between LMIN and LMAX is the bounded nondeterminism.
 * Faults:  messages as above. A controller that was cut off, behind, or dead counts anew from
 *          its return, at any tick. An agent's process is killed and restarted over its synced
 *          state and the kernel's gate; its host is rebooted (new life, closed gate, epochs
 *          kept); it is replaced by another host without state and data, under the same name,
 *          while the old one goes on serving until its own deadline (`gh`). One that is frozen
 *          does nothing for a while. Gates close for other reasons and open again. KILLS and
 *          LIVES bound how often; nothing else does.
 * Data:    `miss[i]`: instance i lacks a write that was acknowledged. Any number of writes.
 *
 * NOT modelled: elections message by message, snapshots (the simulator's); forming, adoption,
 * detach, attach, switchover, removal (a switchover ends in the same fence_begin); modes
 * other than `required`; standby reads; ungated_local, power, attested, sync severed; a
 * server that crashes and is started again within an epoch (I9); a rewind that is cut off; a
 * lying disk; more than two instances; two renewals of one instance on their way at once.
 *
 * PROGRESS (-DPROGRESS): at some moment faults stop for good (`calm`); a majority of the
 * controllers is there, and one host may be gone for good if its partner is a member. What
 * the leader's guards ask (guards.c) binds from then on; what can be done is done before time
 * passes (the synchrony assumption: `timeout`), and processes are scheduled weakly fair
 * (pan -f). Then the group becomes writable again. The last epochs are kept for that.
 *
 * M_... are the mutants of mutants.pml; as shipped they are all 0.
 */
#ifndef EPOCHS
#define EPOCHS 3 /* activations end here */
#endif
#ifndef LIVES
#define LIVES 2 /* incarnations of each agent */
#endif
#ifndef KILLS
#define KILLS 1 /* of agents, of all kinds together */
#endif
#ifndef STEPS
#define STEPS 2 /* join and sync steps within an epoch */
#endif
#ifndef LMIN
#define LMIN 1
#define LMAX 2
#endif
#ifndef PROGRESS
#define PROGRESS 0
#endif

#include "mutants.pml"

#ifdef COUNT /* how often each transition was taken, by name; a replay narrates instead */
c_decl {
    static struct hit { const char *name; unsigned long n; } hits[100];
    static unsigned long *hit(const char *name)
    {
        struct hit *h = hits;

        while (h->name != NULL && strcmp(h->name, name) != 0)
            h++;
        h->name = name;
        return &h->n;
    }
    __attribute__((destructor)) static void hits_print(void)
    {
        for (struct hit *h = hits; h->name != NULL; h++)
            printf("taken %lu %s\n", h->n, h->name);
    }
}
#define ACT(what, who) \
    c_code { static unsigned long *n; if (n == NULL) n = hit(what); ++*n; }
#else
#define ACT(what, who) printf("%d: ", who); printf(what); printf("\n")
#endif

#define WAIT (M_BARE_TTL -> LMAX - 1 : LMAX)
#define BIT(m, e) (((m) >> (e)) & 1)

/* phases */
#define PROMOTING 1
#define STEADY 2
#define FENCING 3
/* gates: what they let pass before the deadline */
#define CLOSED 0
#define REPLICATION 1
#define OPEN 2
/* servers */
#define DOWN 0
#define STANDBY 1
#define PRIMARY 2
#define ABSENT 3 /* no complete data directory */
/* proofs on record */
#define NONE 0
#define BY_AGENT 1 /* or by installation: both stand only for the life that gave them */
#define BY_EXPIRY 2
/* steps of the active instance besides LEAD */
#define JOIN 1
#define SYNC 2

/* ---- the replicated state ------------------------------------------------------------- */
byte ge = 1, gph = STEADY;
byte ga = 0;           /* active instance */
byte gset = 3;         /* sync set, or the candidates before `opened` */
bit granted = 1;       /* last_grant > activated_index */
byte led = 2;          /* step LEAD: 0, 1 started, 2 done */
byte stp = 0, sid = 0; /* step JOIN or SYNC: kind, id within the epoch */
bit stp_done = 1, stp_gen = 0;
byte hold[2];                  /* life of the last grant (0: never) */
byte enr[2] = 1, enr_e[2] = 1; /* life on record, epoch at which it came */
byte pv[2], pv_life[2];        /* proof later than the last grant */
/* history, by epoch: what may still be told by somebody */
byte h_act = 0, h_opened = 2, h_led = 2;

/* ---- controllers: ticks since their own apply() of the last grant to the active --------- */
byte tm[3];
byte pexp; /* epoch for which a proof by expiry has been proposed */

/* ---- on the network, as far as apply() may still accept it ------------------------------ */
byte rq_life[2], rq_age[2];          /* renewal of this epoch; 0: none */
bit rq_mine[2];                      /* its sender can still use the answer */
byte ak_e[2], ak_life[2], ak_age[2]; /* answer */
bit ak_open[2];
byte pf_life[2];   /* proof by agent, of this epoch's fence */
byte in_life[2];   /* proof of installation, later than the last grant */
bit rep_led;       /* LEAD of this epoch reported done */
byte rep_sid;      /* JOIN or SYNC of this epoch reported done */

/* ---- agents: what a crash takes, what the disk keeps, what the kernel keeps ------------- */
byte life[2] = 1;
byte ae[2] = 1;               /* epoch assigned, 0: not heard of since the start */
byte wf[2];                   /* fence order accepted for this epoch */
bit asked[2];                 /* that order wants its proof */
bit joining[2];               /* JOIN under way: waiting is in force */
byte de[2] = 1, df[2];        /* disk: highest epoch, fence mark */
byte last[2];                 /* disk: last step accepted in this epoch */
byte le[2], age[2], gate[2];  /* lease and gate: epoch, ticks since sent, mode */
bit lopen[2];                 /* the log held `opened` of `le` */
byte fz[2];                   /* kernel: frozen up to this epoch */
byte srv[2], srv_e[2];        /* server; epoch that it was led for, or follows */
bit names[2];                 /* its commits wait for the other instance */

/* ---- seen by nobody: hosts that were replaced, and what assertions ask ------------------ */
byte gh[2] = LMAX; /* the former host serves until LMAX */
bit gh_names[2];
bit miss[2];   /* lacks an acknowledged write */
bit proved[2]; /* gave a proof for `le`: its gate never opens for that again */
byte kills;
bit calm;
#if PROGRESS
byte dead;  /* agent whose host is gone for good, plus 1 */
byte since; /* ticks since the last activation, or since calm */
#define UP(i) (dead != i + 1)
#else
#define UP(i) true
#endif

#define STANDS(i) (hold[i] != 0 && pv[i] == NONE)
#define PROVEN(i) ((pv[i] == BY_AGENT && pv_life[i] == enr[i]) || pv[i] == BY_EXPIRY)
#define ROLE_OF(e) BIT(h_act, e)
#define MEMBER(i) BIT(gset, i)
#define PASSES(i) (gate[i] != CLOSED && age[i] < LMAX)
#define SERVES(i) (gate[i] == OPEN && age[i] < LMAX && srv[i] == PRIMARY)
#define KNOWN(i) (M_NO_EPOCH_SYNC || de[i] == ae[i])
#define HIGHEST(i) (ae[i] > de[i] -> ae[i] : de[i])

/* Checked after every transition. */
inline check()
{
    /* Never two that can acknowledge a client's write, replaced hosts among them. */
    assert(SERVES(0) + SERVES(1) + (gh[0] < LMAX) + (gh[1] < LMAX) <= 1);
    assert(!SERVES(0) || ga == 0);
    assert(!SERVES(1) || ga == 1);
    /* No acknowledged write is missing where clients are served, nor on any member that
     * might be activated. */
    assert(!SERVES(0) || !miss[0]);
    assert(!SERVES(1) || !miss[1]);
    assert(!MEMBER(0) || srv[0] == ABSENT || !miss[0]);
    assert(!MEMBER(1) || srv[1] == ABSENT || !miss[1])
}

/* Controllers have no names: keep their counts in order, so that states that differ only by
 * who is who are one. What is counted about a holder that is proven matters to nobody. */
inline sort2(a, b)
{
    if
    :: tm[a] > tm[b] -> t = tm[a]; tm[a] = tm[b]; tm[b] = t
    :: else
    fi
}
inline settle()
{
    if
    :: PROVEN(ga) && !M_COUNT_BEFORE_FENCE -> tm[0] = LMAX; tm[1] = LMAX; tm[2] = LMAX
    :: else -> sort2(0, 1); sort2(1, 2); sort2(0, 1)
    fi;
    t = 0
}

inline forget_answer(i) { ak_e[i] = 0; ak_age[i] = 0; ak_life[i] = 0; ak_open[i] = 0 }
inline forget_renewal(i) { rq_life[i] = 0; rq_age[i] = 0; rq_mine[i] = 0 }
inline forget_lease(i) { gate[i] = CLOSED; age[i] = LMAX; lopen[i] = 0 }

/* ---- apply() ------------------------------------------------------------------------------ */

inline count_anew(c)
{
    if
    :: !(M_COUNT_FIRST_GRANT && granted) -> tm[c] = 0
    :: else
    fi
}

/* I3, I4, I12: renew_verdict(). The answer carries what apply() has put on record. */
#define MAY_RENEW(i) (rq_life[i] != 0 && rq_life[i] == enr[i] && ga == i && \
    (gph != FENCING || M_GRANT_AFTER_FENCE) && \
    (!STANDS(i) || hold[i] == rq_life[i] || M_NEW_LIFE_GRANTED))
inline apply_renew(i)
{
    count_anew(0); count_anew(1); count_anew(2);
    hold[i] = rq_life[i]; pv[i] = NONE; pv_life[i] = 0; in_life[i] = 0;
    granted = 1;
    if
    :: rq_mine[i] && (rq_age[i] < LMAX || M_FROM_REPLY || M_OTHER_LIFE_ANSWERED) ->
        ak_e[i] = ge; ak_life[i] = rq_life[i]; ak_age[i] = rq_age[i]; ak_open[i] = BIT(h_opened, ge)
    :: else
    fi;
    settle()
}
#define IS_ANSWERED(i) (ak_e[i] == ge && ak_age[i] == rq_age[i] && ak_life[i] == rq_life[i] && \
    ak_open[i] == BIT(h_opened, ge))

/* I2, I3, I12. */
#define MAY_PROVE(i, who) (gph == FENCING && who != 0 && !PROVEN(i) && \
    (M_ANY_SIGNER || (who == enr[i] && (!STANDS(i) || hold[i] == who))))
#define MAY_INSTALL(i, who) (who != 0 && who == enr[i] && !PROVEN(i) && i != ga && \
    !(STANDS(i) && hold[i] != who))
#define MAY_EXPIRE(i) (gph == FENCING && !PROVEN(i) && hold[i] != 0 && (i != ga || pexp == ge))
inline apply_proof(i, kind, who)
{
    pv[i] = kind; pv_life[i] = who;
    settle()
}

/* I2, I8. */
#define MAY_ACTIVATE(i) (gph == FENCING && ge < EPOCHS && (PROVEN(1 - i) || M_NO_PROOF) && \
    (MEMBER(i) || M_NON_MEMBER))
inline apply_activate(i)
{
    /* The promise of the proofs, seen from the other host: it is over, for good. */
    assert(!(PASSES(1 - i) && srv[1 - i] == PRIMARY) && gh[1 - i] >= LMAX);
    t = ge;
    ge = (M_SAME_EPOCH -> ge : ge + 1);
    assert(ge > t);
    ga = i; h_act = h_act | (i << ge);
    gph = PROMOTING; granted = 0; led = 0;
    stp = 0; sid = 0; stp_done = 1; stp_gen = 0;
    rep_led = 0; rep_sid = 0; pexp = 0;
    forget_renewal(0); forget_renewal(1);
    if
    :: !M_OLD_PROOF -> pf_life[0] = 0; pf_life[1] = 0
    :: else
    fi;
#if PROGRESS
    since = 0;
#endif
    settle()
}

inline apply_opened()
{
    if
    :: !M_OPENED_KEEPS_SET -> gset = 1 << ga
    :: else
    fi;
    h_opened = h_opened | (1 << ge);
    gph = STEADY; stp_gen = 0
}

#define MAY_STEP (gph == STEADY && stp_done && sid < STEPS)
inline apply_step_start(kind)
{
    stp = kind; sid++; stp_done = 0; stp_gen = 1
}

/* Whatever apply() accepts may be proposed, until calm: then the leader's guards decide. */
#if PROGRESS
#define COUNTED_OUT (tm[0] >= LMAX || tm[1] >= LMAX)
#define ABLE(i) (UP(i) && MEMBER(i) && srv[i] != ABSENT && enr[i] == life[i])
#define REBORN(i) (STANDS(i) && hold[i] != enr[i])
#define SILENT (since >= LMAX && COUNTED_OUT && \
    (granted && ABLE(1 - ga) || !granted && !UP(ga) && ABLE(1 - ga) || \
     REBORN(ga) && (ABLE(ga) || ABLE(1 - ga))))
/* The other has all that was acknowledged, and a proof about this one is within reach: of a
 * life that nobody has heard of, and that never held a lease, only itself could give it. */
#define MAY_DIE(i) (MEMBER(1 - i) && srv[1 - i] != ABSENT && enr[i] == life[i] && (PROVEN(i) || hold[i] != 0))
#define MAY_FENCE (calm -> SILENT : ge <= EPOCHS - 2) /* what is left is for the recovery */
#define IS_TARGET(i) (!calm || ABLE(i) && !REBORN(i) && (i != ga || !ABLE(1 - i)))
#else
#define MAY_FENCE true
#define IS_TARGET(i) true
#endif

#define LOG(i) \
    :: d_step { MAY_RENEW(i) && !IS_ANSWERED(i) && (!calm || rq_age[i] == 0 && rq_mine[i]) -> \
        ACT("renew", i); apply_renew(i); check() } \
    :: d_step { MAY_PROVE(i, pf_life[i]) -> \
        ACT("proof by agent", i); apply_proof(i, BY_AGENT, pf_life[i]); check() } \
    :: d_step { MAY_INSTALL(i, in_life[i]) -> \
        ACT("proof of installation", i); apply_proof(i, BY_AGENT, in_life[i]); check() } \
    :: d_step { MAY_EXPIRE(i) -> \
        ACT("proof by expiry", i); apply_proof(i, BY_EXPIRY, 0); check() } \
    :: d_step { MAY_ACTIVATE(i) && IS_TARGET(i) -> \
        ACT("activate", i); apply_activate(i); check() } \
    :: d_step { enr[i] < life[i] -> ACT("enrol", i); enr[i]++; enr_e[i] = ge; check() }

proctype replicated_log()
{
    byte t;
end:
    do
    LOG(0)
    LOG(1)
    :: d_step { (gph == PROMOTING || gph == STEADY) && ge < EPOCHS && MAY_FENCE ->
        ACT("fence-begin", ga); gph = FENCING; check() }
    :: d_step { gph == PROMOTING && led == 0 && (granted || M_LEAD_WITHOUT_LEASE) ->
        ACT("lead step starts", ga); led = 1; h_led = h_led | (1 << ge); check() }
    :: d_step { gph == PROMOTING && led == 1 && rep_led ->
        ACT("lead step ends", ga); led = 2; check() }
    :: d_step { gph == PROMOTING && led == 2 && granted && (!calm || UP(ga) || M_OPENED_UNHEARD) ->
        ACT("opened", ga); apply_opened(); check() }
    /* I8 */
    :: d_step { MAY_STEP && !MEMBER(1 - ga) && !calm ->
        ACT("join step starts", ga); apply_step_start(JOIN); check() }
    :: d_step { MAY_STEP && names[ga] != MEMBER(1 - ga) && !calm ->
        ACT("sync step starts", ga); apply_step_start(SYNC); check() }
    :: d_step { stp != 0 && !stp_done && rep_sid == sid ->
        ACT("join or sync step ends", ga); stp_done = 1; check() }
    :: d_step { gph == STEADY && stp == JOIN && stp_done && stp_gen && !MEMBER(1 - ga) ->
        ACT("sync-join", ga); gset = 3; stp_gen = 0; check() }
    :: d_step { gph == STEADY && gset == 3 && !calm ->
        ACT("sync-shrink", ga); gset = 1 << ga; stp_gen = 0; check() }
    od
}

/* ---- controllers: what each process counts ------------------------------------------------ */
#define CONTROLLER(c) \
    :: d_step { tm[c] >= WAIT && (gph == FENCING || M_COUNT_BEFORE_FENCE) && \
        pexp != ge && hold[ga] != 0 && !PROVEN(ga) && (!calm || c < 2) -> ACT("counts the lease out", c); pexp = ge } \
    :: d_step { !calm && !PROVEN(ga) && tm[c] != (M_COUNT_FROM_BEFORE -> LMAX : 0) -> \
        ACT("controller comes back", c); tm[c] = (M_COUNT_FROM_BEFORE -> LMAX : 0); settle() } /* it was away, and is back */

proctype controllers()
{
    byte t;
end:
    do
    CONTROLLER(0)
    CONTROLLER(1)
    CONTROLLER(2)
    od
}

/* ---- an agent ------------------------------------------------------------------------------ */

/* What some leader may still say of epoch e, addressed to the life on record (I6). */
#define MAY_TELL(i, e) (enr[i] == life[i] && e <= ge && e >= enr_e[i] && e != ae[i] && \
    (e >= HIGHEST(i) || M_STALE_OBEYED) && (!calm || e == ge))
inline assign(i, e)
{
    /* Epochs only grow: an agent never works for less than what it has acted for. */
    assert(e >= le[i] && e >= fz[i] && (rq_life[i] != life[i] || e >= ge));
    asked[i] = 0; last[i] = 0; joining[i] = 0;
    ae[i] = e
}

/* What the gate ought to let pass under the lease that is held: wanted_as_primary(). */
#define WANTED(i) ((srv[i] == PRIMARY && srv_e[i] == ae[i] && (lopen[i] || M_OPEN_UNLOGGED)) -> \
    OPEN : REPLICATION)
#define IS_PRIMARY(i) (ae[i] != 0 && ROLE_OF(ae[i]) == i && wf[i] < ae[i] && KNOWN(i))
#define HELD(i) (IS_PRIMARY(i) && le[i] == ae[i] && age[i] < LMAX)
inline arm(i)
{
    gate[i] = WANTED(i);
    /* A gate that gave a proof is never opened again, nor is a frozen one. */
    assert(!proved[i] && fz[i] < le[i])
}

/* I3: counted from what the answer echoes, if it is ours. */
#define MAY_TAKE(i) (IS_PRIMARY(i) && ak_e[i] == ae[i] && fz[i] < ae[i] && \
    (ak_life[i] == life[i] || M_OTHER_LIFE_ANSWERED) && \
    (le[i] != ae[i] || ak_age[i] < age[i] || ak_open[i] && !lopen[i] || \
     (M_FROM_REPLY || ak_life[i] != life[i]) && age[i] != 0))
inline take_grant(i)
{
    if
    :: le[i] != ae[i] -> le[i] = ae[i]; age[i] = LMAX; lopen[i] = 0; proved[i] = 0
    :: else
    fi;
    if
    :: M_FROM_REPLY || ak_life[i] != life[i] -> age[i] = 0
    :: !(M_FROM_REPLY || ak_life[i] != life[i]) && ak_age[i] < age[i] -> age[i] = ak_age[i]
    :: else
    fi;
    lopen[i] = lopen[i] | ak_open[i];
    if
    :: age[i] < LMAX -> arm(i)
    :: else
    fi
}

/* No lower epoch is ever heeded again, and nothing of one is left: its marks say nothing. */
inline outlive(i)
{
    if
    :: !M_STALE_OBEYED && ae[i] == de[i] && df[i] < de[i] && le[i] < de[i] && age[i] >= LMAX ->
        wf[i] = 0; df[i] = 0; fz[i] = 0; le[i] = 0; lopen[i] = 0; proved[i] = 0
    :: else
    fi
}

/* I6: the lease of e is held before anything is promoted for e. */
#define MAY_LEAD(i) (IS_PRIMARY(i) && BIT(h_led, ae[i]) && (HELD(i) || M_LEAD_WITHOUT_LEASE) && \
    srv[i] != ABSENT && !(srv[i] == PRIMARY && srv_e[i] == ae[i]))
inline lead(i)
{
    /* Promoted is only the instance that the log names, while nobody else can serve, and one
     * that misses nothing. */
    assert(ga == i);
    assert(!SERVES(1 - i) && gh[1 - i] >= LMAX && gh[i] >= LMAX);
    assert(!miss[i]);
    srv[i] = PRIMARY; srv_e[i] = ae[i]; names[i] = BIT(h_opened, ae[i]) && MEMBER(1 - i);
    rep_led = rep_led || ae[i] == ge
}

/* Rewound to where it parted from the other, or cloned; then it streams. */
#define IS_STANDBY(i) (ae[i] != 0 && ROLE_OF(ae[i]) != i && KNOWN(i))
#define MAY_FOLLOW(i) (IS_STANDBY(i) && BIT(h_opened, ae[i]) && \
    !PASSES(i) && !(srv[i] == STANDBY && srv_e[i] == ae[i]) && \
    (srv[1 - i] == PRIMARY && PASSES(1 - i) || srv[1 - i] == STANDBY && srv[i] != ABSENT))
inline follow(i)
{
    miss[i] = (srv[i] == ABSENT -> miss[1 - i] : miss[i] || miss[1 - i]);
    srv[i] = STANDBY; srv_e[i] = ae[i]; names[i] = 0
}
#define STREAMS(to, from) (srv[to] == STANDBY && srv_e[to] == srv_e[from] && \
    srv[from] == PRIMARY && PASSES(from))
#define MAY_RUN(i, kind) (ga == i && ae[i] == ge && stp == kind && !stp_done && HELD(i) && \
    SERVES(i) && last[i] <= sid && rep_sid != sid)

proctype agent(byte i)
{
end:
    do
    :: d_step { UP(i) && MAY_TELL(i, 1) -> ACT("is told of epoch 1", i); assign(i, 1); check() }
    :: d_step { UP(i) && MAY_TELL(i, 2) -> ACT("is told of epoch 2", i); assign(i, 2); check() }
#if EPOCHS > 2
    :: d_step { UP(i) && MAY_TELL(i, 3) -> ACT("is told of epoch 3", i); assign(i, 3); check() }
#endif
#if EPOCHS > 3
    :: d_step { UP(i) && MAY_TELL(i, 4) -> ACT("is told of epoch 4", i); assign(i, 4); check() }
#endif
    /* The log's `opened`, in an assignment. */
    :: d_step { UP(i) && IS_PRIMARY(i) && le[i] == ae[i] && !lopen[i] && BIT(h_opened, ae[i]) &&
        age[i] < LMAX -> ACT("is told that it was opened", i); lopen[i] = 1; check() }
    /* The disk. */
    :: d_step { UP(i) && (de[i] < ae[i] || df[i] < wf[i]) ->
        ACT("syncs its state", i); de[i] = HIGHEST(i); df[i] = wf[i]; outlive(i); check() }
    /* A renewal: keeper_wants_lease(). Of an older epoch it would be refused in any case. */
    :: d_step { UP(i) && IS_PRIMARY(i) && ae[i] == ge &&
        (rq_life[i] != life[i] || rq_age[i] != 0 || !rq_mine[i]) ->
        ACT("sends a renewal", i); rq_life[i] = life[i]; rq_age[i] = 0; rq_mine[i] = 1; check() }
    :: d_step { UP(i) && MAY_TAKE(i) -> ACT("takes a grant", i); take_grant(i); check() }
    :: d_step { UP(i) && HELD(i) && fz[i] < le[i] && gate[i] != WANTED(i) ->
        ACT("writes the gate anew", i); arm(i); check() }
    /* I8, I3: what another epoch opened is shut; hung: shut, and opened again. */
    :: d_step { UP(i) && PASSES(i) && (!calm || le[i] != ae[i] && ae[i] != 0) ->
        ACT("shuts the gate", i); gate[i] = CLOSED; check() }
    /* I3: a fence order, however late; the mark on disk; closed and frozen; the proof. */
    :: d_step { UP(i) && enr[i] == life[i] && ae[i] != 0 && (ae[i] < ge || gph == FENCING) &&
        ROLE_OF(ae[i]) == i && (wf[i] < ae[i] && !M_NO_FREEZE || !asked[i] && ae[i] == ge && pf_life[i] != life[i]) ->
        ACT("accepts the fence order", i); wf[i] = (M_NO_FREEZE -> 0 : ae[i]); asked[i] = (ae[i] == ge); check() }
    :: d_step { UP(i) && (fz[i] < df[i] && le[i] <= df[i] || M_NO_FREEZE && asked[i] && gate[i] != CLOSED) ->
        ACT("closes and freezes", i); fz[i] = df[i]; forget_lease(i); check() }
    :: d_step { UP(i) && asked[i] && ae[i] == ge &&
        (fz[i] >= ae[i] || M_PROOF_BEFORE_FREEZE || M_NO_FREEZE && gate[i] == CLOSED) ->
        ACT("proves", i); pf_life[i] = life[i]; asked[i] = 0; proved[i] = (le[i] <= ae[i]); check() }
    :: d_step { UP(i) && IS_STANDBY(i) && !PASSES(i) && srv[i] != PRIMARY && enr[i] == life[i] &&
        in_life[i] != life[i] && !PROVEN(i) -> ACT("proves its installation", i); in_life[i] = life[i]; age[i] = LMAX; check() }
    /* The server. */
    :: d_step { UP(i) && MAY_LEAD(i) -> ACT("leads", i); lead(i); check() }
    :: d_step { UP(i) && MAY_FOLLOW(i) -> ACT("follows", i); follow(i); check() }
    :: d_step { UP(i) && IS_STANDBY(i) && srv[i] == PRIMARY && !PASSES(i) ->
        ACT("stops a stray primary", i); srv[i] = DOWN; srv_e[i] = 0; names[i] = 0; check() } /* police() */
    :: d_step { STREAMS(i, 1 - i) && miss[i] != miss[1 - i] ->
        ACT("catches up", i); miss[i] = miss[1 - i]; check() }
    /* JOIN: waiting is in force, then the other has flushed what was there. */
    :: d_step { UP(i) && MAY_RUN(i, JOIN) && !joining[i] ->
        ACT("begins to join the other", i); last[i] = sid; joining[i] = 1; names[i] = !M_JOIN_VIEW_LIES; check() }
    :: d_step { UP(i) && MAY_RUN(i, JOIN) && joining[i] && STREAMS(1 - i, i) ->
        ACT("has joined the other", i); joining[i] = 0; miss[1 - i] = miss[i]; rep_sid = sid; check() }
    :: d_step { UP(i) && MAY_RUN(i, SYNC) ->
        ACT("applies the sync names", i); last[i] = sid; joining[i] = 0; names[i] = MEMBER(1 - i); rep_sid = sid; check() }
    :: d_step { M_JOIN_VIEW_LIES && SERVES(i) && !names[i] && last[i] != 0 -> names[i] = 1; check() }
    :: d_step { M_OLD_STEP && SERVES(i) && last[i] > 1 && names[i] -> names[i] = 0; check() }
    :: d_step { M_SHRINK_UNLOGGED && SERVES(i) && names[i] -> names[i] = 0; check() }
    /* A client's write, acknowledged by this one alone. One that waits for the other changes
     * nothing: both have it. */
    :: d_step { SERVES(i) && !names[i] && !calm && !miss[1 - i] ->
        ACT("acknowledges a write alone", i); miss[1 - i] = 1; check() }
    od
}

/* ---- time and faults ------------------------------------------------------------------------ */

#define OLDER(a) (a < LMAX -> a + 1 : a)
inline time_passes(i)
{
    rq_age[i] = (rq_life[i] != 0 -> OLDER(rq_age[i]) : 0);
    ak_age[i] = (ak_e[i] != 0 -> OLDER(ak_age[i]) : 0);
    age[i] = OLDER(age[i]);
    gh[i] = OLDER(gh[i]);
    if
    :: ak_age[i] >= LMAX && !M_FROM_REPLY && !M_OTHER_LIFE_ANSWERED -> forget_answer(i)
    :: else
    fi;
    if
    :: age[i] >= LMAX && !M_REOPEN_AT_RESTART -> gate[i] = CLOSED
    :: else
    fi;
    if
    :: gh[i] >= LMAX -> gh_names[i] = 0
    :: else
    fi
}
inline tick()
{
    time_passes(0); time_passes(1);
    tm[0] = OLDER(tm[0]); tm[1] = OLDER(tm[1]); tm[2] = OLDER(tm[2]);
    settle()
}

/* What the process held in memory is gone; its successor begins with what the disk says. */
inline killed(i)
{
    kills++;
    ae[i] = 0; asked[i] = 0; joining[i] = 0; wf[i] = df[i]
}
inline rebooted(i)
{
    life[i]++;
    forget_lease(i); le[i] = 0; fz[i] = 0; proved[i] = 0; names[i] = 0; srv_e[i] = 0
}
#define MAY_KILL (kills < KILLS && !calm)

#define FAULTS(i) \
    /* The gate and the server stand; the next process takes them over with the deadline. */ \
    :: d_step { MAY_KILL -> \
        ACT("agent restarts", i); killed(i); rq_mine[i] = 0; forget_answer(i); \
        if \
        :: M_REOPEN_AT_RESTART && gate[i] == OPEN && fz[i] < le[i] -> age[i] = 0 \
        :: gate[i] == CLOSED -> age[i] = LMAX \
        :: else \
        fi; \
        lopen[i] = (gate[i] == OPEN); check() } \
    /* The host is rebooted: a new life over the old state. */ \
    :: d_step { MAY_KILL && life[i] < LIVES -> ACT("host reboots", i); killed(i); rebooted(i); \
        if \
        :: !M_OTHER_LIFE_ANSWERED -> rq_mine[i] = 0; forget_answer(i) \
        :: else \
        fi; \
        srv[i] = (srv[i] == ABSENT -> ABSENT : DOWN); check() } \
    /* Another host under its name; the former one may go on serving, and be answered. */ \
    :: d_step { MAY_KILL && life[i] < LIVES && !PROGRESS -> ACT("host is replaced", i); \
        if \
        :: SERVES(i) -> gh[i] = age[i]; gh_names[i] = names[i] \
        :: else -> rq_mine[i] = 0; forget_answer(i) \
        fi; \
        killed(i); rebooted(i); de[i] = 0; df[i] = 0; wf[i] = 0; last[i] = 0; \
        srv[i] = ABSENT; miss[i] = 1; check() } \
    :: d_step { gh[i] < LMAX && !gh_names[i] && !miss[1 - i] -> \
        ACT("former host acknowledges alone", i); miss[1 - i] = 1; check() } \
    :: d_step { gh[i] < LMAX && ak_e[i] != 0 && ak_life[i] < life[i] && ak_age[i] < gh[i] -> \
        ACT("former host is answered", i); gh[i] = ak_age[i]; check() } \
    /* A fast clock. */ \
    :: d_step { age[i] >= LMIN && age[i] < LMAX && !calm -> \
        ACT("lease ends early", i); age[i] = LMAX; gate[i] = CLOSED; check() }

proctype weather()
{
    byte t;
end:
    do
    FAULTS(0)
    FAULTS(1)
    :: d_step { !calm -> ACT("tick", 0); tick(); check() }
#if PROGRESS
    :: atomic { calm && timeout -> d_step { ACT("tick", 0); tick(); since = OLDER(since); check() } }
    :: d_step { !calm -> calm = 1; since = 0 }
    :: d_step { !calm && MAY_DIE(0) -> calm = 1; since = 0; dead = 1 }
    :: d_step { !calm && MAY_DIE(1) -> calm = 1; since = 0; dead = 2 }
#endif
    od
}

init
{
    d_step {
        hold[0] = 1;
        pv[1] = BY_AGENT; pv_life[1] = 1; /* by installation */
        le[0] = 1; age[0] = 0; lopen[0] = 1; gate[0] = OPEN;
        age[1] = LMAX;
        srv[0] = PRIMARY; srv_e[0] = 1; names[0] = 1;
        srv[1] = STANDBY; srv_e[1] = 1
    }
    atomic { run replicated_log(); run controllers(); run agent(0); run agent(1); run weather() }
}

#if PROGRESS
ltl progress { [] (calm -> <> (SERVES(0) || SERVES(1))) }
#endif
