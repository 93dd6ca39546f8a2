/* Finds the interpreter's function for an instruction and takes it apart: register numbers, the parts of the memory operand,
 * immediates. The tables are printed from src/x86/forms.ts. The bytes are the
 * guest's and may be anything: at most 15 are read, one after the other. */
#include "decode.h"

#define MAX_BYTES 15u
#define VECTOR_UD 6
#define VECTOR_GP 13
#define OPCODE_NOP_OR_XCHG 0x90

enum encoding { LEGACY, VEX, EVEX };

/** An instruction while it is decoded. */
struct reader {
    struct hc_instruction *out;
    struct hc_decoded *d;
    const uint8_t *bytes;
    uint32_t length;
    enum encoding encoding;
    uint32_t map; /* row of hc_opcodes */
    uint8_t is_too_long;
    uint8_t has_66, has_67, has_lock, has_rex;
    uint8_t repeat;      /* 0xf2, 0xf3 or 0: the last one */
    uint8_t w, l, x, b;  /* extension bits */
    uint8_t r;           /* EVEX: R | R' << 1 */
    uint8_t pp;          /* place in HC_GROUP_PREFIX that VEX and EVEX say */
    uint8_t v_high, broadcast;
    uint8_t opcode, modrm;
};

static inline uint8_t next_byte(struct reader *in) {
    if (in->length >= MAX_BYTES) {
        in->is_too_long = 1;
        return 0;
    }
    return in->bytes[in->length++];
}

/** Little-endian value of 0, 1, 2, 4 or 8 bytes. */
static inline uint64_t next_value(struct reader *in, uint32_t bytes) {
    if (in->length + bytes > MAX_BYTES) {
        in->is_too_long = 1;
        return 0;
    }
    const uint8_t *at = in->bytes + in->length;
    in->length += bytes;
    uint64_t value = 0;
    switch (bytes) {
    case 1: value = *at; break;
    case 2: __builtin_memcpy(&value, at, 2); break;
    case 4: __builtin_memcpy(&value, at, 4); break;
    case 8: __builtin_memcpy(&value, at, 8); break;
    }
    return value;
}

static uint64_t sign_extend(uint64_t value, uint32_t bytes) {
    if (bytes == 0 || bytes >= 8) return value;
    uint32_t shift = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/** Takes a legacy prefix; 0 if the byte is none. */
static int take_prefix(struct reader *in, uint8_t byte) {
    switch (byte) {
    case 0x66: in->has_66 = 1; return 1;
    case 0x67: in->has_67 = 1; return 1;
    case 0xf0: in->has_lock = 1; return 1;
    case 0xf2: case 0xf3: in->repeat = byte; return 1;
    case 0x64: in->out->segment = HC_SEGMENT_FS; return 1;
    case 0x65: in->out->segment = HC_SEGMENT_GS; return 1;
    case 0x26: case 0x2e: case 0x36: case 0x3e: return 1;
    default: return 0;
    }
}

/** Legacy and REX prefixes; gives the first byte behind them. */
static uint8_t read_prefixes(struct reader *in) {
    uint8_t rex = 0, byte = next_byte(in);
    for (;;) {
        /* A REX prefix counts only right before the opcode. */
        if ((byte & 0xf0) == 0x40) rex = byte;
        else if (take_prefix(in, byte)) rex = 0;
        else break;
        if (in->is_too_long) return 0;
        byte = next_byte(in);
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
    in->pp = last & 3;
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
    in->pp = p1 & 3;
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

/** Place in HC_GROUP_PREFIX. */
static uint32_t prefix_place(const struct reader *in) {
    if (in->encoding != LEGACY) return in->pp;
    return in->repeat == 0xf3 ? 2 : in->repeat ? 3 : in->has_66;
}

/** Place in HC_GROUP_LENGTH. */
static uint32_t length_place(const struct reader *in, int is_memory) {
    if (!in->broadcast) return in->l;
    return is_memory ? 4u + in->l : 8;
}

static const struct hc_candidate *find_candidate(struct reader *in) {
    const uint16_t *range = &hc_opcodes[in->map * 256 + in->opcode];
    const struct hc_candidate *c = &hc_candidates[range[0]], *end = &hc_candidates[range[1]];
    if (c != end && (c->flags & HC_FORM_HAS_MODRM)) in->modrm = next_byte(in);
    int is_memory = in->modrm < 0xc0;
    uint64_t is = 1ull << (HC_GROUP_PREFIX + prefix_place(in)) | 1ull << (HC_GROUP_SIZE + in->w + 2u * in->has_66)
                  | 1ull << (HC_GROUP_LENGTH + length_place(in, is_memory)) | 1ull << (HC_GROUP_MODRM + is_memory)
                  | 1ull << (HC_GROUP_REG + (in->modrm >> 3 & 7)) | 1ull << (HC_GROUP_RM + (in->modrm & 7))
                  | 1ull << (HC_GROUP_REX_B + in->b) | 1ull << (HC_GROUP_ADDRESS + in->has_67);
    for (; c != end; c++) {
        if ((is & ~c->accepts) == 0) return c;
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
    return !d->zeroing || ((c->flags & HC_FORM_CAN_ZERO) && d->opmask);
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
static int read_memory_operand(struct reader *in, const struct hc_candidate *c, int *is_rip_relative) {
    struct hc_instruction *out = in->out;
    uint8_t mod = in->modrm >> 6, rm = in->modrm & 7;
    uint32_t displacement_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    int is_allowed = !(c->flags & HC_FORM_VSIB) || rm == 4;
    out->has_address = 1;
    out->base = (int8_t)(rm | in->b << 3);
    if (rm == 4) {
        uint8_t sib = next_byte(in);
        int index = (sib >> 3 & 7) | in->x << 3;
        out->base = (int8_t)((sib & 7) | in->b << 3);
        in->d->scale = sib >> 6;
        if (c->flags & HC_FORM_VSIB) in->d->index = (uint8_t)(index | in->v_high << 4);
        else if (index != 4) out->index = (int8_t)index;
        if (mod == 0 && (sib & 7) == 5) {
            out->base = HC_NO_REGISTER;
            displacement_bytes = 4;
        }
    } else if (mod == 0 && rm == 5) {
        *is_rip_relative = 1;
        out->base = HC_NO_REGISTER;
        displacement_bytes = 4;
    }
    out->displacement = sign_extend(next_value(in, displacement_bytes), displacement_bytes);
    if (displacement_bytes == 1) out->displacement <<= in->broadcast ? c->scales >> 4 : c->scales & 15;
    if (out->base == 4 && (c->flags & HC_FORM_POP)) out->displacement += c->flags & HC_FORM_POP16 ? 2 : 8;
    return is_allowed;
}

static void read_immediates(struct reader *in, const struct hc_candidate *c) {
    struct hc_decoded *d = in->d;
    uint32_t first = c->immediates & 15, second = c->immediates >> 4;
    if (c->flags & HC_FORM_MOFFS) {
        in->out->has_address = 1;
        in->out->displacement = next_value(in, in->has_67 ? 4 : 8);
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
    case HC_AXIS_LOCK: return in->has_lock;
    case HC_AXIS_STRING: return (in->has_67 ? 3u : 0u) + (in->repeat == 0xf3 ? 1u : in->repeat ? 2u : 0u);
    case HC_AXIS_ADDRESS: return in->has_67;
    case HC_AXIS_MASK: return mask;
    case HC_AXIS_MASK_BROADCAST: return mask + 2u * in->broadcast;
    case HC_AXIS_BROADCAST: return in->broadcast;
    default: return 0;
    }
}

/** HC_KIND_* of what has been decoded, but for its length. */
static uint8_t kind_of(const struct reader *in) {
    const struct hc_decoded *d = in->d;
    int is_special = d->rounding || d->suppressed || in->out->segment || d->address32;
    return (uint8_t)(is_special ? HC_KIND_SPECIAL : in->out->has_address ? HC_KIND_ADDRESS : 0);
}

/** What the instruction at `rip` is, as far as it does not depend on registers; gives HC_DECODED or a vector. */
static int decode(struct reader *in, uint64_t rip) {
    const struct hc_candidate *c = read_opcode(in) && !in->is_too_long ? find_candidate(in) : 0;
    if (!c) return in->is_too_long ? VECTOR_GP : VECTOR_UD;
    struct hc_decoded *d = in->d;
    int is_well = is_well_formed(in, c);
    take_registers(in, c);
    int is_memory = c->flags & HC_FORM_IS_MEMORY, is_rip_relative = 0;
    if (is_memory && !read_memory_operand(in, c, &is_rip_relative)) is_well = 0;
    if (!are_distinct(in, c)) is_well = 0;
    read_immediates(in, c);
    if (in->is_too_long) return VECTOR_GP;
    if (!is_well) return VECTOR_UD;
    d->length = (uint8_t)in->length;
    d->next_rip = rip + in->length;
    d->address32 = in->has_67;
    if (is_rip_relative) in->out->displacement += d->next_rip;
    int is_controlled = !is_memory && in->broadcast;
    if (is_controlled && (c->flags & HC_FORM_ROUNDS)) d->rounding = (uint8_t)(1 + in->l);
    else d->suppressed = c->exceptions == HC_EXCEPTIONS_NONE || (is_controlled && c->exceptions == HC_EXCEPTIONS_CONTROLLED);
    in->out->op = (uint16_t)(c->first + variant_of(in, c));
    in->out->function = hc_ops[in->out->op];
    in->out->kind = kind_of(in);
    return in->out->function ? HC_DECODED : VECTOR_UD;
}

int hc_decode(uint64_t rip, struct hc_instruction *instruction) {
    *instruction = (struct hc_instruction){.base = HC_NO_REGISTER, .index = HC_NO_REGISTER};
    struct reader in = {.out = instruction, .d = &instruction->decoded, .bytes = (const uint8_t *)rip};
    return decode(&in, rip);
}
