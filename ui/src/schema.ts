// JSON schemas as a form needs them: what a field is, and with what it begins. The server checks; a form only helps.
export type Schema = {
  $ref?: string;
  $defs?: Record<string, Schema>;
  definitions?: Record<string, Schema>;
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  examples?: unknown[];
  enum?: unknown[];
  const?: unknown;
  format?: string;
  writeOnly?: boolean;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema | boolean;
  prefixItems?: Schema[];
  additionalProperties?: Schema | boolean;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
};

export type Kind = "choice" | "boolean" | "number" | "text" | "list" | "object" | "variants" | "json";

/** A schema with its reference followed; a reference that leads nowhere is any value. */
export function resolved(schema: Schema, root: Schema, depth = 0): Schema {
  if (depth > 20) return {};
  if (schema.allOf?.length === 1 && !schema.properties) {
    const { allOf, ...rest } = schema;
    return { ...resolved(allOf[0] as Schema, root, depth + 1), ...rest };
  }
  if (!schema.$ref) return schema;
  const name = schema.$ref.split("/").pop() ?? "";
  const { $ref: _, ...rest } = schema;
  const found = root.$defs?.[name] ?? root.definitions?.[name] ?? {};
  return { ...resolved(found, root, depth + 1), ...rest };
}

/** The schemas that a value may fit, null left aside; and whether it may be null. */
export function variants(schema: Schema, root: Schema): { options: Schema[]; nullable: boolean } {
  const { anyOf, oneOf, ...rest } = schema;
  const given = anyOf ?? oneOf;
  if (given) {
    const all = given.map((each) => resolved(each, root));
    const options = all.filter((each) => each.type !== "null");
    const alone = options.length === 1 ? options.map((each) => ({ ...each, ...rest })) : options;
    return { options: alone, nullable: options.length < all.length };
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((each) => each !== "null");
    return { options: types.map((type) => ({ ...schema, type })), nullable: types.length < schema.type.length };
  }
  return { options: [schema], nullable: false };
}

export function kindOf(schema: Schema): Kind {
  if (schema.enum) return "choice";
  if (schema.const !== undefined) return "choice";
  if (schema.anyOf || schema.oneOf || Array.isArray(schema.type)) return "variants";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  if (schema.type === "string") return "text";
  if (schema.type === "array" && typeof schema.items === "object") return "list";
  if (schema.properties) return "object";
  return "json";
}

/** With what a field begins: its default, or nothing (undefined: it is left out). */
export function beginning(schema: Schema, root: Schema, required: boolean): unknown {
  const whole = resolved(schema, root);
  if (whole.default !== undefined) return structuredClone(whole.default);
  if (whole.const !== undefined) return whole.const;
  if (!required) return undefined;
  switch (kindOf(whole)) {
    case "boolean":
      return false;
    case "list":
      return [];
    case "choice":
      return whole.enum?.[0];
    case "object":
      return beginningOf(whole, root);
    default:
      return undefined;
  }
}

/** An object with what its fields begin with, over which `given` goes. */
export function beginningOf(schema: Schema, root: Schema, given: unknown = {}): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, each] of Object.entries(schema.properties ?? {})) {
    const value = beginning(each, root, schema.required?.includes(name) ?? false);
    if (value !== undefined) found[name] = value;
  }
  return { ...found, ...(given as object) };
}

/** A type in a word or two. */
export function typeWords(schema: Schema, root: Schema): string {
  const whole = resolved(schema, root);
  const { options, nullable } = variants(whole, root);
  const words = options.map((each) => {
    if (each.enum) return "one of these";
    if (each.type === "array") return typeof each.items === "object" ? `list of ${typeWords(each.items, root)}` : "list";
    if (each.properties) return each.title ?? "object";
    return each.format ?? (typeof each.type === "string" ? each.type : "anything");
  });
  return [...new Set(words)].join(" or ") + (nullable ? ", or nothing" : "");
}
