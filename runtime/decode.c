/* Finds the interpreter's function for the instruction at rip and computes what the function cannot know beforehand:
 * register numbers, effective address, immediates. The tables are printed from src/x86/forms.ts. The bytes are the
 * guest's and may be anything: at most 15 are read, one after the other. */
#include "decode.h"

#define MAX_BYTES 15u
#define VECTOR_UD 6
#define VECTOR_GP 13
#define OPCODE_NOP_OR_XCHG 0x90

enum encoding { LEGACY, VEX, EVEX };

/** An instruction while it is decoded. */
struct reader {
    const struct cpu_state *state;
    struct hc_decoded *d;
    const uint8_t *bytes;
    uint32_t length;
    int is_too_long;
    enum encoding encoding;
    /* Prefixes. */
    int has_66, has_67, has_lock, has_rex;
    uint8_t repeat;  /* 0xf2, 0xf3 or 0: the last one */
    uint8_t w, l, r, x, b;  /* extension bits; r and v are 5-bit extensions for EVEX: r | r2 << 1 */
    uint8_t pp;      /* VEX and EVEX: mandatory prefix as HC_PREFIX_* */
    uint8_t v_high, broadcast;
    uint32_t map;    /* row of hc_opcodes */
    uint8_t opcode, modrm;
    uint8_t sib;
    int32_t displacement;
    int base;        /* general register, -1 none, -2 rip */
    int index;       /* register, -1 none */
};

static uint8_t next_byte(struct reader *in) {
    if (in->length >= MAX_BYTES) {
        in->is_too_long = 1;
        return 0;
    }
    return in->bytes[in->length++];
}

static uint64_t next_value(struct reader *in, uint32_t bytes) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) value |= (uint64_t)next_byte(in) << (8 * i);
    return value;
}

static uint64_t sign_extend(uint64_t value, uint32_t bytes) {
    if (bytes == 0 || bytes >= 8) return value;
    uint32_t shift = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/** Legacy and REX prefixes; gives the first byte behind them. */
static uint8_t read_prefixes(struct reader *in) {
    for (;;) {
        uint8_t byte = next_byte(in);
        if (in->is_too_long) return 0;
        uint8_t rex = 0;
        while ((byte & 0xf0) == 0x40) {
            /* A REX prefix counts only right before the opcode. */
            rex = byte;
            byte = next_byte(in);
            if (in->is_too_long) return 0;
        }
        switch (byte) {
        case 0x66: in->has_66 = 1; continue;
        case 0x67: in->has_67 = 1; continue;
        case 0xf0: in->has_lock = 1; continue;
        case 0xf2: case 0xf3: in->repeat = byte; continue;
        case 0x64: in->d->segment_base = in->state->fs_base; continue;
        case 0x65: in->d->segment_base = in->state->gs_base; continue;
        case 0x26: case 0x2e: case 0x36: case 0x3e: continue;
        }
        if (rex) {
            in->has_rex = 1;
            in->w = rex >> 3 & 1;
            in->r = rex >> 2 & 1;
            in->x = rex >> 1 & 1;
            in->b = rex & 1;
        }
        return byte;
    }
}

static const uint8_t PP[4] = {HC_PREFIX_NONE, HC_PREFIX_66, HC_PREFIX_F3, HC_PREFIX_F2};

/** The bytes of a VEX prefix behind C4 or C5; 0 if they are none. */
static int read_vex(struct reader *in, int has_three_bytes) {
    uint8_t first = next_byte(in);
    uint8_t map = 1;
    in->encoding = VEX;
    in->r = !(first >> 7);
    uint8_t last = first;
    if (has_three_bytes) {
        in->x = !(first >> 6 & 1);
        in->b = !(first >> 5 & 1);
        map = first & 0x1f;
        last = next_byte(in);
        in->w = last >> 7;
    }
    in->d->vvvv = ~last >> 3 & 15;
    in->l = last >> 2 & 1;
    in->pp = PP[last & 3];
    in->map = 3u + map;
    in->opcode = next_byte(in);
    return map >= 1 && map <= 3;
}

/** The bytes of an EVEX prefix behind 62; 0 if they are none. */
static int read_evex(struct reader *in) {
    uint8_t p0 = next_byte(in), p1 = next_byte(in), p2 = next_byte(in);
    in->encoding = EVEX;
    in->r = (uint8_t)(!(p0 >> 7) | !(p0 >> 4 & 1) << 1);
    in->x = !(p0 >> 6 & 1);
    in->b = !(p0 >> 5 & 1);
    uint8_t map = p0 & 7;
    in->w = p1 >> 7;
    in->d->vvvv = ~p1 >> 3 & 15;
    in->pp = PP[p1 & 3];
    in->d->zeroing = p2 >> 7;
    in->l = p2 >> 5 & 3;
    in->broadcast = p2 >> 4 & 1;
    in->v_high = !(p2 >> 3 & 1);
    in->d->opmask = p2 & 7;
    in->map = 6u + map;
    in->opcode = next_byte(in);
    return map >= 1 && map <= 3 && !(p0 & 8) && (p1 & 4);
}

/** Prefixes and opcode; 0 for an undefined instruction. */
static int read_opcode(struct reader *in) {
    uint8_t byte = read_prefixes(in);
    int is_bare = !in->has_66 && !in->repeat && !in->has_lock && !in->has_rex;
    if (byte == 0xc4 || byte == 0xc5) return is_bare && read_vex(in, byte == 0xc4);
    if (byte == 0x62) return is_bare && read_evex(in);
    if (byte == 0x0f) {
        in->map = 1;
        byte = next_byte(in);
        if (byte == 0x38 || byte == 0x3a) {
            in->map = byte == 0x38 ? 2 : 3;
            byte = next_byte(in);
        }
    }
    in->opcode = byte;
    return 1;
}

static int prefix_matches(const struct reader *in, uint8_t wanted) {
    if (wanted == HC_PREFIX_ANY) return 1;
    if (in->encoding != LEGACY) return in->pp == wanted;
    uint8_t there = in->repeat == 0xf3 ? HC_PREFIX_F3
                    : in->repeat       ? HC_PREFIX_F2
                    : in->has_66       ? HC_PREFIX_66
                                       : HC_PREFIX_NONE;
    return there == wanted;
}

static int size_matches(const struct reader *in, const struct hc_candidate *c) {
    int is_16 = in->has_66 && c->prefix != HC_PREFIX_66;
    switch (c->operand_size) {
    case HC_SIZE_16: return is_16 && !in->w;
    case HC_SIZE_32: return !is_16 || in->w; /* forms of 64 bits come first */
    case HC_SIZE_64: return in->w;
    case HC_SIZE_DEFAULT64: return in->w || !is_16;
    default: return 1;
    }
}

/** Whether the vector length and EVEX.b suit the candidate. */
static int length_matches(const struct reader *in, const struct hc_candidate *c) {
    if (in->encoding != EVEX || !in->broadcast) return c->l == HC_ANY ? in->l < 3 : in->l == c->l;
    if (c->modrm == HC_MODRM_MEMORY) {
        int can = c->axis == HC_AXIS_MASK_BROADCAST || c->axis == HC_AXIS_BROADCAST;
        return can && (c->l == HC_ANY || in->l == c->l);
    }
    /* With a register operand the bit means rounding or exception control, and the length is the whole register's. */
    return (c->flags & (HC_FORM_ROUNDS | HC_FORM_SUPPRESSES)) && (c->l == HC_ANY || c->l == 2);
}

static int candidate_matches(const struct reader *in, const struct hc_candidate *c) {
    if (!prefix_matches(in, c->prefix) || !size_matches(in, c)) return 0;
    if (c->w != HC_ANY && c->w != in->w) return 0;
    if (c->modrm != HC_MODRM_NONE) {
        int is_register = in->modrm >= 0xc0;
        if (c->modrm != HC_MODRM_IGNORED && is_register != (c->modrm == HC_MODRM_REGISTER)) return 0;
        if (c->reg != HC_ANY && c->reg != (in->modrm >> 3 & 7)) return 0;
        if (c->rm != HC_ANY && c->rm != (in->modrm & 7)) return 0;
    }
    if ((c->flags & HC_FORM_NO_REX_B) && in->b) return 0;
    if ((c->flags & HC_FORM_REFUSES_REPEAT) && in->repeat) return 0;
    if ((c->flags & HC_FORM_REFUSES_66) && in->has_66) return 0;
    if ((c->flags & HC_FORM_ADDRESS32) && !in->has_67) return 0;
    if ((c->flags & HC_FORM_ADDRESS64) && in->has_67) return 0;
    return in->encoding == LEGACY || length_matches(in, c);
}

static const struct hc_candidate *find_candidate(struct reader *in) {
    const uint16_t *range = &hc_opcodes[in->map * 256 + in->opcode];
    const struct hc_candidate *c = &hc_candidates[range[0]], *end = &hc_candidates[range[1]];
    if (c != end && c->modrm != HC_MODRM_NONE) in->modrm = next_byte(in);
    for (; c != end; c++) {
        if (candidate_matches(in, c)) return c;
    }
    return 0;
}

/** What the encoding forbids or demands beyond the choice of the candidate. */
static int is_well_formed(const struct reader *in, const struct hc_candidate *c) {
    const struct hc_decoded *d = in->d;
    if (in->has_lock && c->axis != HC_AXIS_LOCK) return 0;
    if (in->encoding == LEGACY) return 1;
    if ((c->flags & HC_FORM_MASK_REG) && in->r) return 0;
    if ((c->flags & HC_FORM_MASK_VVVV) && (d->vvvv > 7 || in->v_high)) return 0;
    if (!(c->flags & HC_FORM_USES_VVVV) && d->vvvv != 0) return 0;
    if (in->encoding != EVEX) return 1;
    if ((c->flags & HC_FORM_GENERAL_REG) && in->r > 1) return 0;
    if (!(c->flags & (HC_FORM_USES_VVVV | HC_FORM_VSIB)) && in->v_high) return 0;
    int can_mask = c->axis == HC_AXIS_MASK || c->axis == HC_AXIS_MASK_BROADCAST;
    if (d->opmask && !can_mask) return 0;
    return !d->zeroing || ((c->flags & HC_FORM_CAN_ZERO) && d->opmask && c->modrm != HC_MODRM_NONE);
}

/** Byte offset in CpuState of a byte register. */
static uint8_t byte_register(const struct reader *in, uint8_t number) {
    if (!in->has_rex && in->encoding == LEGACY && number >= 4 && number < 8) return (uint8_t)((number - 4) * 8 + 1);
    return (uint8_t)((number & 15) * 8);
}

static void take_registers(struct reader *in, const struct hc_candidate *c) {
    struct hc_decoded *d = in->d;
    d->vvvv = (uint8_t)(d->vvvv | in->v_high << 4);
    if (c->flags & HC_FORM_OPCODE_REGISTER) {
        d->rm = (uint8_t)((in->opcode & 7) | in->b << 3);
    } else {
        d->reg = (uint8_t)((in->modrm >> 3 & 7) | in->r << 3);
        d->rm = (uint8_t)((in->modrm & 7) | in->b << 3 | (in->encoding == EVEX ? in->x << 4 : 0));
    }
    d->reg8 = byte_register(in, d->reg);
    d->rm8 = byte_register(in, d->rm);
}

/** SIB byte and displacement of a memory operand; 0 if it is not allowed. */
static int read_memory_operand(struct reader *in, const struct hc_candidate *c) {
    uint8_t mod = in->modrm >> 6, rm = in->modrm & 7;
    uint32_t displacement_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    in->index = -1;
    in->base = rm | in->b << 3;
    if (c->flags & HC_FORM_VSIB && rm != 4) return 0;
    if (rm == 4) {
        in->sib = next_byte(in);
        in->index = (in->sib >> 3 & 7) | in->x << 3;
        in->base = (in->sib & 7) | in->b << 3;
        in->d->scale = in->sib >> 6;
        if (c->flags & HC_FORM_VSIB) {
            in->d->index = (uint8_t)(in->index | in->v_high << 4);
            in->index = -1;
        } else if (in->index == 4) {
            in->index = -1;
        }
        if (mod == 0 && (in->sib & 7) == 5) {
            in->base = -1;
            displacement_bytes = 4;
        }
    } else if (mod == 0 && rm == 5) {
        in->base = -2;
        displacement_bytes = 4;
    }
    uint64_t displacement = sign_extend(next_value(in, displacement_bytes), displacement_bytes);
    if (displacement_bytes == 1) displacement <<= in->broadcast ? c->scales >> 4 : c->scales & 15;
    in->displacement = (int32_t)displacement;
    return 1;
}

static void compute_address(struct reader *in, const struct hc_candidate *c) {
    struct hc_decoded *d = in->d;
    const uint64_t *gpr = in->state->gpr;
    uint64_t address = (uint64_t)(int64_t)in->displacement;
    if (in->base == -2) address += d->next_rip;
    if (in->base >= 0) address += gpr[in->base];
    if (in->base == 4 && (c->flags & HC_FORM_POP)) address += c->operand_size == HC_SIZE_16 ? 2 : 8;
    if (in->index >= 0) address += gpr[in->index] << d->scale;
    if (in->has_67) address = (uint32_t)address;
    d->linear = address;
    d->address = address + d->segment_base;
}

static void read_immediates(struct reader *in, const struct hc_candidate *c) {
    struct hc_decoded *d = in->d;
    uint32_t first = c->immediates & 15, second = c->immediates >> 4;
    if (c->flags & HC_FORM_MOFFS) {
        d->linear = next_value(in, in->has_67 ? 4 : 8);
        d->address = d->linear + d->segment_base;
        return;
    }
    d->immediate = sign_extend(next_value(in, first), first);
    d->second_immediate = next_value(in, second);
    if (c->flags & HC_FORM_IS4) d->is4 = (uint8_t)(d->immediate >> 4 & 15);
}

/** Whether the registers of a gather or scatter differ as they must. */
static int are_distinct(const struct reader *in, const struct hc_candidate *c) {
    const struct hc_decoded *d = in->d;
    if (!(c->flags & HC_FORM_DISTINCT)) return 1;
    if (d->reg == d->index) return 0;
    return !(c->flags & HC_FORM_USES_VVVV) || (d->vvvv != d->index && d->vvvv != d->reg);
}

static uint32_t variant_of(const struct reader *in, const struct hc_candidate *c) {
    uint32_t mask = in->d->opmask != 0;
    switch (c->axis) {
    case HC_AXIS_LOCK: return (uint32_t)in->has_lock;
    case HC_AXIS_STRING: return (in->has_67 ? 3u : 0u) + (in->repeat == 0xf3 ? 1u : in->repeat ? 2u : 0u);
    case HC_AXIS_ADDRESS: return (uint32_t)in->has_67;
    case HC_AXIS_MASK: return mask;
    case HC_AXIS_MASK_BROADCAST: return mask + 2u * in->broadcast;
    case HC_AXIS_BROADCAST: return in->broadcast;
    default: return 0;
    }
}

int hc_decode(const struct cpu_state *state, struct hc_decoded *d) {
    *d = (struct hc_decoded){0};
    struct reader in = {.state = state, .d = d, .bytes = (const uint8_t *)state->rip};
    if (!read_opcode(&in)) return in.is_too_long ? VECTOR_GP : VECTOR_UD;
    const struct hc_candidate *c = in.is_too_long ? 0 : find_candidate(&in);
    if (!c) return in.is_too_long ? VECTOR_GP : VECTOR_UD;
    int is_well = is_well_formed(&in, c);
    take_registers(&in, c);
    int is_memory = c->modrm == HC_MODRM_MEMORY;
    if (is_memory && !read_memory_operand(&in, c)) is_well = 0;
    if (!are_distinct(&in, c)) is_well = 0;
    read_immediates(&in, c);
    if (in.is_too_long) return VECTOR_GP;
    if (!is_well) return VECTOR_UD;
    d->length = (uint8_t)in.length;
    d->next_rip = state->rip + in.length;
    d->address32 = (uint8_t)in.has_67;
    if (is_memory) compute_address(&in, c);
    if (in.encoding == EVEX && in.broadcast && !is_memory && (c->flags & HC_FORM_ROUNDS)) d->rounding = (uint8_t)(1 + in.l);
    d->op = (uint16_t)(c->first + variant_of(&in, c));
    return hc_ops[d->op] ? HC_DECODED : VECTOR_UD;
}
